//! Rows about did:pkh: wallets that sign for their address.

use serde_json::json;

use super::did_keys::ORDER;
use super::{Forge, Rows};
use crate::mint::{Holder, base58, high_s};

pub(super) fn add(rows: &mut Rows<'_>) {
    accepted(rows);
    addresses(rows);
    chains(rows);
    algorithms(rows);
    signatures(rows);
}

fn token(rows: &Rows<'_>, holder: &Holder) -> String {
    holder.token(&holder.claims(rows.world.audience(), &json!({})))
}

fn accepted(rows: &mut Rows<'_>) {
    let dids = &rows.world.dids;
    for (name, holder) in [
        ("a wallet by the other of its two algorithms", dids.wallet.by("ES256K-R")),
        ("another one by personal_sign", dids.ethereum.by("EIP191")),
    ] {
        rows.accepted_as(name, &format!("Bearer {}", token(rows, &holder)), &holder.did);
    }
    // An address is one user, however it is written.
    for (name, written) in [
        ("a wallet's address in lower case", dids.wallet.did.to_ascii_lowercase()),
        ("a wallet's address in upper case", upper(&dids.wallet.did)),
    ] {
        let holder = dids.wallet.named(written);
        rows.accepted_as(name, &format!("Bearer {}", token(rows, &holder)), &dids.wallet.did);
    }
    let claims = dids.wallet.claims(rows.world.audience(), &json!({}));
    let signed = dids.wallet.token_but(&claims, |mut signature| {
        signature[64] -= 27;
        signature
    });
    rows.accepted_as(
        "a wallet that counts its recovery id from zero",
        &format!("Bearer {signed}"),
        &dids.wallet.did,
    );
}

fn upper(did: &str) -> String {
    let (start, address) = did.rsplit_once("0x").expect("an address");
    format!("{start}0x{}", address.to_ascii_uppercase())
}

fn addresses(rows: &mut Rows<'_>) {
    let (wallet, solana) = (&rows.world.dids.wallet, &rows.world.dids.solana);
    let (start, address) = wallet.did.rsplit_once("0x").expect("an address");
    // One letter in the other case.
    let place = address.bytes().position(|byte| byte.is_ascii_alphabetic()).expect("a letter");
    let mut flipped = address.as_bytes().to_vec();
    flipped[place] ^= 0x20;
    let flipped = String::from_utf8(flipped).expect("ASCII");
    for (name, did) in [
        ("with a wrong checksum", format!("{start}0x{flipped}")),
        ("of 19 bytes", format!("{start}0x{}", &address[2..])),
        ("of 21 bytes", format!("{start}0x{address}00")),
        ("of an odd number of digits", format!("{start}0x{}", &address[1..])),
        ("without 0x", format!("{start}{address}")),
        ("with 0X", format!("{start}0X{address}")),
        ("that is no number", format!("{start}0x{}g", &address[1..])),
        ("that is empty", start.to_owned()),
        ("with a line break", format!("{start}0x{address}\n")),
        ("with a space", format!("{start} 0x{address}")),
    ] {
        rows.refused(
            &format!("an Ethereum address {name}"),
            &token(rows, &wallet.named(did)),
            &["did_address"],
        );
    }
    let (start, _) = solana.did.rsplit_once(':').expect("an address");
    for (name, address) in [
        ("of 31 bytes", base58(&[7; 31])),
        ("of 33 bytes", base58(&[7; 33])),
        ("with a zero in front", format!("1{}", base58(&[7; 32]))),
        ("that is no base58", "0OIl".repeat(11)),
        ("that is empty", String::new()),
    ] {
        let did = format!("{start}:{address}");
        rows.refused(&format!("a Solana address {name}"), &token(rows, &solana.named(did)), &["did_address"]);
    }
    let did = format!("{start}:{}", base58(&[7; 32]));
    rows.refused("another Solana address", &token(rows, &solana.named(did)), &["did_not_allowed"]);
}

fn chains(rows: &mut Rows<'_>) {
    let wallet = &rows.world.dids.wallet;
    let address = wallet.last().to_owned();
    for chain in ["eip155:137", "eip155:5", "eip155:11155111"] {
        let holder = wallet.named(format!("did:pkh:{chain}:{address}"));
        rows.refused(&format!("a wallet's address on {chain}"), &token(rows, &holder), &["did_not_allowed"]);
    }
    for chain in [
        "eip155:0",
        "eip155:01",
        "eip155:0x1",
        "eip155:-1",
        "eip155:",
        "eip155:1 ",
        "EIP155:1",
        "bip122:000000000019d6689c085ae165831e93",
        "cosmos:cosmoshub-3",
        "tezos:NetXdQprcVkpaWU",
        ":1",
    ] {
        let holder = wallet.named(format!("did:pkh:{chain}:{address}"));
        rows.refused(&format!("a wallet's address on {chain:?}"), &token(rows, &holder), &["did_chain"]);
    }
    for did in [
        format!("did:pkh:{address}"),
        format!("did:pkh:eip155:{address}"),
        format!("did:pkh:eip155:1:{address}:1"),
        format!("did:pkh:eip155:1:{address}:"),
    ] {
        let name = format!("a wallet with {} parts", did.split(':').count());
        let name = if did.ends_with(':') { format!("{name}, the last one empty") } else { name };
        rows.refused(&name, &token(rows, &wallet.named(did)), &["did_malformed"]);
    }
}

fn algorithms(rows: &mut Rows<'_>) {
    let world = rows.world;
    let (wallet, solana) = (&world.dids.wallet, &world.dids.solana);
    let claims = |holder: &Holder| holder.claims(world.audience(), &json!({}));
    for (holder, algorithm) in [
        (wallet, "ES256K"),
        (wallet, "EdDSA"),
        (wallet, "ES256"),
        (wallet, "RS256"),
        (wallet, "EIP712"),
        (wallet, "eip191"),
        (solana, "ES256K-R"),
        (solana, "EIP191"),
        (solana, "ES256"),
    ] {
        let token = holder.token_with(&json!({"alg": algorithm}), &claims(holder));
        let name = format!("{} whose token says {algorithm}", &holder.did[..14]);
        rows.refused(&name, &token, &["did_algorithm"]);
    }
    // A good signature by one algorithm, said to be the other's.
    let wrong = &["signature_invalid"];
    let token = wallet.token_with(&json!({"alg": "ES256K-R"}), &claims(wallet));
    rows.refused("a personal_sign that is said to be ES256K-R", &token, wrong);
    let token = world.dids.ethereum.token_with(&json!({"alg": "EIP191"}), &claims(&world.dids.ethereum));
    rows.refused("an ES256K-R that is said to be a personal_sign", &token, wrong);
    let token = wallet.token_with(&json!({"kid": format!("{}#other", wallet.did)}), &claims(wallet));
    rows.refused("a wallet's kid with another fragment", &token, &["did_mismatch"]);
    let token = wallet.token_with(&json!({"kid": world.dids.ethereum.did}), &claims(wallet));
    rows.refused("a wallet's token by another wallet's kid", &token, &["did_mismatch"]);
    let behind = format!("{}.{}", world.dids.ethereum.did, wallet.token(&claims(wallet)));
    rows.refused("a wallet's token behind another wallet", &behind, &["did_mismatch"]);
}

fn signatures(rows: &mut Rows<'_>) {
    let world = rows.world;
    let wrong = &["signature_invalid"];
    let changes: [(&str, Forge); 12] = [
        ("in its other form", |signature| high_s(&signature)),
        ("of zeros", |_| vec![0; 65]),
        ("of ones", |_| vec![0xff; 65]),
        ("whose r is zero", |mut signature| {
            signature[..32].fill(0);
            signature
        }),
        ("whose s is zero", |mut signature| {
            signature[32..64].fill(0);
            signature
        }),
        ("whose r is the order", |mut signature| {
            signature[..32].copy_from_slice(&ORDER);
            signature
        }),
        ("whose s is the order", |mut signature| {
            signature[32..64].copy_from_slice(&ORDER);
            signature
        }),
        ("with the other recovery id", |mut signature| {
            signature[64] = if signature[64] < 27 { 1 - signature[64] } else { 55 - signature[64] };
            signature
        }),
        ("with a recovery id past all", |mut signature| {
            signature[64] = 99;
            signature
        }),
        ("with a recovery id for a larger r", |mut signature| {
            signature[64] = 2;
            signature
        }),
        ("without its recovery id", |mut signature| {
            signature.pop();
            signature
        }),
        ("with a byte behind it", |signature| [&signature[..], &[0]].concat()),
    ];
    for holder in [&world.dids.ethereum, &world.dids.wallet] {
        let claims = holder.claims(world.audience(), &json!({}));
        for (name, change) in changes {
            let token = holder.token_but(&claims, change);
            rows.refused(&format!("a wallet's {} signature {name}", holder.algorithm), &token, wrong);
        }
        let token = holder.token_but(&claims, |_| Vec::new());
        rows.refused(
            &format!("a wallet's {} token without its signature", holder.algorithm),
            &token,
            &["did_unsigned"],
        );
    }
    let stolen = world.dids.ethereum.named(&world.dids.wallet.did);
    rows.refused("one wallet's address and another's signature", &token(rows, &stolen), wrong);
    let stolen = world.dids.outsider.named(&world.dids.solana.did);
    rows.refused("a Solana address and another's signature", &token(rows, &stolen), wrong);
}

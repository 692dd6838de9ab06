use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use proptest::prelude::*;

use super::*;
use crate::crypto::{Algorithm, NoHost, PublicKey, hex, sha256};

fn wallet(seed: u8) -> SigningKey {
    // 255 in every byte would be more than the order.
    SigningKey::from_slice(&[seed.clamp(1, 254); 32]).unwrap()
}

fn address_of(wallet: &SigningKey) -> [u8; 20] {
    let point = wallet.verifying_key().to_encoded_point(false);
    *keccak256(&[&point.as_bytes()[1..]]).last_chunk::<20>().unwrap()
}

fn recoverable(wallet: &SigningKey, digest: &[u8; 32], base: u8) -> Vec<u8> {
    let (signature, recovery) = wallet.sign_prehash_recoverable(digest).unwrap();
    [&signature.to_bytes()[..], &[base + recovery.to_byte()]].concat()
}

/// The other signature of the same message that anybody can make.
fn mirrored(signature: &Signature) -> Signature {
    Signature::from_scalars(signature.r().to_bytes(), (-*signature.s()).to_bytes()).unwrap()
}

#[test]
fn the_address_of_a_known_key_is_the_known_one() {
    // web3.js' documentation of personal_sign and accounts.recover.
    let key = hex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318").unwrap();
    let wallet = SigningKey::from_slice(&key).unwrap();
    let address = hex("2c7536E3605D9C16a7a3D7b1898e529396a65c23").unwrap();
    assert_eq!(address_of(&wallet)[..], address);
    let digest = hex("1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655").unwrap();
    let signature = hex("b91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c").unwrap();
    let recovered = recover_address(digest.as_slice().try_into().unwrap(), &signature);
    assert_eq!(recovered.unwrap()[..], address);
}

#[test]
fn both_ways_to_write_v_are_read_and_no_other() {
    for seed in 1..20 {
        let wallet = wallet(seed);
        let digest = sha256(&[&[seed]]);
        for base in [0, 27] {
            let signature = recoverable(&wallet, &digest, base);
            assert_eq!(recover_address(&digest, &signature), Some(address_of(&wallet)));
        }
        let mut signature = recoverable(&wallet, &digest, 0);
        for v in 2..=255 {
            signature[64] = v;
            assert!(recover_address(&digest, &signature).is_none() || v == 27 || v == 28);
        }
    }
}

#[test]
fn a_malleable_empty_or_short_signature_is_none() {
    let wallet = wallet(7);
    let digest = sha256(&[b"attach"]);
    let (signature, recovery) = wallet.sign_prehash_recoverable(&digest).unwrap();
    let high = mirrored(&signature);
    let whole = [&high.to_bytes()[..], &[1 - recovery.to_byte()]].concat();
    assert_eq!(recover_address(&digest, &whole), None);

    let whole = recoverable(&wallet, &digest, 0);
    for length in 0..65 {
        assert_eq!(recover_address(&digest, &whole[..length]), None);
    }
    assert_eq!(recover_address(&digest, &[&whole[..], &[0]].concat()), None);
    let order = hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
    for r in [&[0; 32][..], &whole[..32], &order, &[255; 32]] {
        for s in [&[0; 32][..], &order, &[255; 32]] {
            for v in [0, 1, 27, 28] {
                assert_eq!(recover_address(&digest, &[r, s, &[v]].concat()), None);
            }
        }
    }
    assert_eq!(recover_address(&digest, &[&[0; 32], &whole[32..64], &[0]].concat()), None);
}

#[test]
fn es256k_verifies_its_own_signatures_in_their_low_form_alone() {
    let wallet = wallet(9);
    let point = wallet.verifying_key().to_encoded_point(true);
    let key = PublicKey::ec_compressed(Algorithm::Es256k, point.as_bytes()).unwrap();
    assert_eq!(key.algorithm().name(), "ES256K");
    let signature: Signature = wallet.sign_prehash(&sha256(&[b"attach"])).unwrap();
    let high = mirrored(&signature);
    assert!(key.verify(&NoHost, b"attach", &signature.to_bytes()));
    assert!(!key.verify(&NoHost, b"attack", &signature.to_bytes()));
    assert!(!key.verify(&NoHost, b"attach", &high.to_bytes()));
    assert!(!key.verify(&NoHost, b"attach", &[0; 64]));
    assert!(!key.verify(&NoHost, b"attach", signature.to_der().as_bytes()));
    assert!(!key.verify(&NoHost, b"attach", &[&signature.to_bytes()[..], &[0]].concat()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn recovery_finds_the_signer_and_agrees_with_the_crates_own(seed in 1_u8.., digest in any::<[u8; 32]>()) {
        let wallet = wallet(seed);
        let signature = recoverable(&wallet, &digest, 27);
        prop_assert_eq!(recover_address(&digest, &signature), Some(address_of(&wallet)));
    }

    #[test]
    fn what_is_recovered_from_any_bytes_is_what_the_crate_recovers(
        digest in any::<[u8; 32]>(), bytes in any::<[u8; 32]>(), low in any::<[u8; 31]>(), v in 0_u8..2,
    ) {
        let signature = [&bytes[..], &[0], &low, &[v]].concat();
        let theirs = Signature::from_slice(&signature[..64]).ok().and_then(|signature| {
            let recovery = k256::ecdsa::RecoveryId::from_byte(v)?;
            VerifyingKey::recover_from_prehash(&digest, &signature, recovery).ok()
        });
        let theirs = theirs.map(|key| {
            let point = key.to_encoded_point(false);
            *keccak256(&[&point.as_bytes()[1..]]).last_chunk::<20>().unwrap()
        });
        prop_assert_eq!(recover_address(&digest, &signature), theirs);
    }

    #[test]
    fn no_bytes_make_recovery_panic(digest in any::<[u8; 32]>(), bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = recover_address(&digest, &bytes);
    }
}

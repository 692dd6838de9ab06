use proptest::prelude::*;
use rsa::RsaPrivateKey;
use rsa::rand_core::{CryptoRng, RngCore};

use super::*;
use crate::crypto::{Algorithm, NoHost, PublicKey, hex};

/// Sizes, exponents and primes of keys that sign here and nowhere else.
#[rustfmt::skip]
const KEYS: [(usize, u32, &str, &str); 5] = [
    (2048, 65537, "f30c28a27cea34b4b23a981abe8897f6804eea96619fe194086894c4a12496587c44bc935cf55b95a605f8aca48779bb3bfcf4a1306dcb3530b410e44a74d0b482ae7a0ae486dcce04348b25fad2a64cd323fc1bc9724e00f1cc45bc8e7ed56d4c11d2ecd25802fecd60486e8ba13868a4c497e32fda2d03bc37e3e1e163427b", "ef24800e27c38d9341b017a3de24fd2c26b892c102b5b0278e0b0d012a30b64629e1211c03a839381bb3cd267229980cf450201d1cfc63c6a7dbe71fc98adcd766776b4fae2d6f7170bdb1218e3c8bd12d229a53c820f83b8c9eda910e55cd3a7e282c8eadc0235ec75221d8c61ca94408857efaef0ec4cb2e9c228eb6b1c645"),
    (2048, 3, "e27a4a33f71b2f8b98d55f7bb18423aaf403a6cf2cda1e179aea13c6fbcae4b7e4188833d6d725e0a541c5e113e406cb020afef513bcd5c46b44872244d90c689901a2be633fbf4fb1ded5818f6f7518af135ea3e144974e40162c2b54d4e0b3e966faf359f6e186bcee7a3e499ae261bc05f6e169c27e5c9b9e1b4d2a954cd5", "d622cd141ea4fe82fa68b99e2363365365231cd39d53e35e5b17ffbcb6313fe517b60960d3b40c1b571d40c747b0b7f4f742cdf69629db7df1cecfc362cdb6fd574a3c482891ef90e1d24a81f12323206986987f3df92395eff04ddf872bdc8b9f1d44943ef4e58832ada5e8d02c8676228f94f5e98c3362442bd75751c958a5"),
    (3072, 65537, "f8e29941be46243db11a434e814250012630cd01d486cfd8cfa1af59c881046e414662a6d654bfa8e135e2e2c60b62619a074b08639c595fc550c29ea5e4b7e49bd95ff6427c9e8cdc18a5a8ef28056afc6b0353d91ffe0f3a7c06a99497d923c90b607bd9bb36239f665cd92d4848410984df405cf106b3f137e5efcad28a64fb31c8d96548539adc2f494ec6a0f8ceebed6304087cf697502fd7e9c8e6525fa9ce057724151f992cc1ba2f1df3424b30b16b8f1c269fce4ccb5ad3541618ef", "c6a8e4d8a87e461df26814a5707f64f2690bf8c7daff207767eff5b4c2e6c7e61f810e8dce1977ae94bca5caff1b6a883672404746a6dfa214d5edf143e91ce9db21eee053c090d972f9cdca1ee2ccc0c0d5af527039b4ce225722ccbd515dbc57ddda18ef2ee129d6ae9188842c348bdbc556648fba681ce55f8312050258c5bf911adf16373444a8bdd1873e2247ef31ea03b6b86a6b76522920710d6a4182b040d676a51bb7e1385abd7261588d720d5d05fc1618949f78e16df4e815fb21"),
    (4096, 65537, "f7ff92f5fd296a1c449bcdd22770aafff7df0852b7815605c69e8ca2081c4018c25fbe1fbe7d70f1afbf1642fb12b3d56000b02dc769a4e79d9973d92ab567e5a89197a8189aaed843906e43c741fabf0831bf5208ff875b36088e0b1e4a577281a054fa028037ff6f0837c050d96213a0cfc6146259a25ea24d8ac3277e02cca378cd6c9842e6aa5b078256a8e863c1abec251d3ccec92cf35cc46ddfddca107a981982ed17d63cea1aa8b58a91bfda4020e0c6aa7cad14350eee527c06bf89629130832b2d78c0caf7d6f25f940ef991907d623fbb60a038bbc08d4a7ab9463a206d2b88c838d7fe05479c0d978279fd58660171a84f60c41218c734962b2d", "d81f10b688656aa1779d1696c946b968f2883a1568000e07511eaa5e9baccba0237f5af0698cac3fe276fc5a0e29191568f98476d367a8a2d830513bc93add03ab75adeb93725f35c3aac8cb610f45a4fdae0dda090fca4f33f88fecdb20a6130ee14b7488307160cce00e576860ca1fd64dc52b451432748fa5384a58e7f2cf6a5d885a9398a0e2425235aa5efd402afe961553ed83c665ad562fc4fd675a51ee399925540e717e46c55f92b77ff8e4bcdbf4d0ca7d37c411d6f0fba711daa648ac2f597b8c4ec1714ae797b5a02962b52dc4cb341b949185aa3868366b9e99d9cd511a211b8bee8d9b13e45fb3d924fcfdf832d6495e28a8f3ae4d2ec42ad7"),
    (2560, 65537, "fb88a56c92e4db2ce177877f561cfaab2c83e5a83ebc3260adef8a4049b31cb3c3831b5fbfc5610068f5f0084f820fcd4155eba7d56fd8c223c932cea869d088f2d7723ccbfef9ec14660052eabf4b568d00dcef40c783524670aaa36bdef98fe4473aa307ac9c1473bdd03f308b6030645d6816098026e29baf525d9b5cc09b90d3df5c1c69afca20c4fb617afc71777349f1a4e4391a4e04cd9e972e39302d", "b6412a2d73fe28b5e601dc234382afb808be6c1e790f61dc3df37002bed5c834129f77494863ddeae72f66e62e51e383779a1df2daa075862efac4d22cbc5b763d6ad61feea410a1b4eec06fcaf59caa7d3ce8d6a8fb4b0e665f3216632fbbe4fbd34ce59a785d6372e0fddfda9ad336e1b6e275d39ee070c8deebed0cef41596dedf6660b8c839d46cf0ec8474ef31c065315305b7dbee86e787d253e802caf"),
];

/// Salts that are the same in every run.
struct Counter(u64);

impl RngCore for Counter {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 ^ (self.0 >> 29)
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.next_u64() as u8);
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Counter {}

fn private(place: usize) -> RsaPrivateKey {
    let (bits, exponent, p, q) = KEYS[place];
    let number = |text: &str| BigUint::from_bytes_be(&hex(text).unwrap());
    let key = RsaPrivateKey::from_p_q(number(p), number(q), BigUint::from(exponent)).unwrap();
    assert_eq!(key.n().bits(), bits);
    key
}

fn public(private: &RsaPrivateKey, algorithm: Algorithm) -> PublicKey {
    PublicKey::rsa(algorithm, &private.n().to_bytes_be(), &private.e().to_bytes_be()).unwrap()
}

const ALGORITHMS: [(Algorithm, Padding, Hash, usize); 6] = [
    (Algorithm::Rs256, Padding::Pkcs1, Hash::Sha256, 32),
    (Algorithm::Rs384, Padding::Pkcs1, Hash::Sha384, 48),
    (Algorithm::Rs512, Padding::Pkcs1, Hash::Sha512, 64),
    (Algorithm::Ps256, Padding::Pss, Hash::Sha256, 32),
    (Algorithm::Ps384, Padding::Pss, Hash::Sha384, 48),
    (Algorithm::Ps512, Padding::Pss, Hash::Sha512, 64),
];

fn sign(key: &RsaPrivateKey, padding: Padding, hash: Hash, salt: usize, message: &[u8]) -> Vec<u8> {
    let digest = digest(hash, message);
    match (padding, hash) {
        (Padding::Pkcs1, Hash::Sha256) => key.sign(Pkcs1v15Sign::new::<Sha256>(), &digest),
        (Padding::Pkcs1, Hash::Sha384) => key.sign(Pkcs1v15Sign::new::<Sha384>(), &digest),
        (Padding::Pkcs1, Hash::Sha512) => key.sign(Pkcs1v15Sign::new::<Sha512>(), &digest),
        (Padding::Pss, Hash::Sha256) => {
            key.sign_with_rng(&mut Counter(1), Pss::new_with_salt::<Sha256>(salt), &digest)
        }
        (Padding::Pss, Hash::Sha384) => {
            key.sign_with_rng(&mut Counter(1), Pss::new_with_salt::<Sha384>(salt), &digest)
        }
        (Padding::Pss, Hash::Sha512) => {
            key.sign_with_rng(&mut Counter(1), Pss::new_with_salt::<Sha512>(salt), &digest)
        }
    }
    .unwrap()
}

#[test]
fn the_usual_sizes_are_verified_the_fast_way_and_others_by_the_crate() {
    for (place, (bits, ..)) in KEYS.iter().enumerate() {
        let key = RsaKey::new(private(place).to_public_key());
        let fast = matches!(key, RsaKey::Bits2048(_) | RsaKey::Bits3072(_) | RsaKey::Bits4096(_));
        assert_eq!(fast, [2048, 3072, 4096].contains(bits), "{bits}");
        assert_eq!(key.size(), bits / 8);
    }
}

#[test]
fn what_a_key_signed_it_verifies_with_every_padding_and_hash_and_nothing_else() {
    for (place, (bits, ..)) in KEYS.iter().enumerate() {
        let private = private(place);
        for (algorithm, padding, hash, salt) in ALGORITHMS {
            let key = public(&private, algorithm);
            let case = format!("{algorithm:?} {bits}");
            let signature = sign(&private, padding, hash, salt, b"attach");
            assert!(key.verify(&NoHost, b"attach", &signature), "{case}");
            assert!(!key.verify(&NoHost, b"attack", &signature), "{case}");
            for other in ALGORITHMS {
                if other.0 != algorithm {
                    assert!(!public(&private, other.0).verify(&NoHost, b"attach", &signature), "{case}");
                }
            }
            for place in [0, 1, signature.len() / 2, signature.len() - 1] {
                let mut tampered = signature.clone();
                tampered[place] ^= 0x80;
                assert!(!key.verify(&NoHost, b"attach", &tampered), "{case}");
            }
            assert!(!key.verify(&NoHost, b"attach", &signature[1..]), "{case}");
            assert!(!key.verify(&NoHost, b"attach", &[&[0], &signature[..]].concat()), "{case}");
            assert!(!key.verify(&NoHost, b"attach", &[]), "{case}");
        }
    }
}

#[test]
fn a_signature_that_is_not_below_its_modulus_is_refused() {
    for place in 0..KEYS.len() {
        let private = private(place);
        let size = private.size();
        for (algorithm, padding, hash, salt) in ALGORITHMS {
            let key = public(&private, algorithm);
            let signature = BigUint::from_bytes_be(&sign(&private, padding, hash, salt, b"attach"));
            // The same number modulo n, where it fits into as many bytes.
            let more = (signature + private.n()).to_bytes_be();
            if more.len() == size {
                assert!(!key.verify(&NoHost, b"attach", &more), "{algorithm:?} {}", size * 8);
            }
            for value in [private.n().to_bytes_be(), vec![0; size], vec![255; size]] {
                assert!(!key.verify(&NoHost, b"attach", &value));
            }
        }
    }
}

#[test]
fn a_salt_of_another_length_than_the_hashs_is_refused() {
    let private = private(0);
    for (algorithm, padding, hash, right) in ALGORITHMS {
        if padding == Padding::Pss {
            for salt in [0, 1, 20, 31, 32, 33, 48, 63, 64, 65, 100] {
                let signature = sign(&private, padding, hash, salt, b"attach");
                let verdict = public(&private, algorithm).verify(&NoHost, b"attach", &signature);
                assert_eq!(verdict, salt == right, "{algorithm:?} {salt}");
            }
        }
    }
}

/// What only the owner of a key can make: the signature that opens to a message of his choice.
fn forge(private: &RsaPrivateKey, encoded: &[u8]) -> Vec<u8> {
    use rsa::traits::PrivateKeyParts as _;
    let opened = BigUint::from_bytes_be(encoded).modpow(private.d(), private.n()).to_bytes_be();
    [vec![0; private.size() - opened.len()], opened].concat()
}

#[test]
fn every_way_to_bend_the_padding_is_refused() {
    let private = private(0);
    let key = public(&private, Algorithm::Rs256);
    let good = pkcs1(256, Hash::Sha256, b"attach").unwrap();
    assert!(key.verify(&NoHost, b"attach", &forge(&private, &good)));
    let tail = good[256 - 51..].to_vec();
    // Bleichenbacher's: short padding, the digest early, rubbish after it.
    let mut early = [&[0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 0][..], &tail].concat();
    early.resize(256, 0x5a);
    // The AlgorithmIdentifier without its NULL.
    let bare = [
        &b"\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20"[..],
        &digest(Hash::Sha256, b"attach"),
    ]
    .concat();
    let mut without = vec![255; 256];
    without[..2].copy_from_slice(&[0, 1]);
    without[256 - bare.len() - 1] = 0;
    without[256 - bare.len()..].copy_from_slice(&bare);
    let change = |place: usize, byte: u8| {
        let mut changed = good.clone();
        changed[place] = byte;
        changed
    };
    for bent in [early, without, change(1, 2), change(2, 0), change(9, 0), change(204, 255), change(205, 0)] {
        assert_eq!(bent.len(), 256);
        assert!(!key.verify(&NoHost, b"attach", &forge(&private, &bent)));
    }
}

#[test]
fn every_way_to_bend_the_probabilistic_padding_is_refused() {
    let private = private(0);
    let key = public(&private, Algorithm::Ps256);
    let RsaKey::Bits2048(fast) = RsaKey::new(private.to_public_key()) else {
        panic!("a key of the usual size")
    };
    let good = fast.open(&sign(&private, Padding::Pss, Hash::Sha256, 32, b"attach")).unwrap();
    assert!(key.verify(&NoHost, b"attach", &forge(&private, &good)));
    // The trailer, a bit of the hash, of the salt, of the zeros and the one before it.
    for (place, bit) in [(255, 1), (230, 1), (222, 1), (100, 4), (0, 0x40), (190, 1)] {
        let mut bent = good.clone();
        bent[place] ^= bit;
        assert!(!key.verify(&NoHost, b"attach", &forge(&private, &bent)), "{place}");
    }
    // The highest bit, which stands outside the encoded message: above n it cannot be signed, so the
    // encoding is asked directly.
    let mut high = good.clone();
    high[0] |= 0x80;
    assert_eq!(pss::<Sha256>(&good, b"attach"), Some(true));
    assert_eq!(pss::<Sha256>(&high, b"attach"), Some(false));
    for length in 0..100 {
        let short = [&vec![0; length][..], &[0xbc]].concat();
        assert_ne!(pss::<Sha256>(&short, b"attach"), Some(true));
    }
}

#[test]
fn a_key_of_an_even_modulus_or_exponent_makes_nothing_panic() {
    let even = [&[0x80][..], &[0; 255]].concat();
    for exponent in [&[2][..], &[3], &[1, 0, 0], &[1, 0, 1], &[1, 255, 255, 255, 255]] {
        if let Some(key) = PublicKey::rsa(Algorithm::Ps256, &even, exponent) {
            assert!(!key.verify(&NoHost, b"attach", &[7; 256]));
        }
    }
    let odd = vec![255; 256];
    for exponent in [&[2][..], &[4], &[1, 0, 0], &[1, 255, 255, 255, 255]] {
        if let Some(key) = PublicKey::rsa(Algorithm::Rs256, &odd, exponent) {
            assert!(!key.verify(&NoHost, b"attach", &[7; 256]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_fast_way_agrees_with_the_crate_on_any_signature(
        place in 0_usize..4, bytes in proptest::collection::vec(any::<u8>(), 512), choice in 0_usize..6, change in 0_usize..512, bit in 0_u8..9,
    ) {
        let private = private(place);
        let crates = private.to_public_key();
        let fast = RsaKey::new(crates.clone());
        let (_, padding, hash, salt) = ALGORITHMS[choice];
        let mut signature = sign(&private, padding, hash, salt, &bytes);
        let size = signature.len();
        signature[change % size] ^= 1_u8.checked_shl(bit.into()).unwrap_or(0);
        for signature in [&signature[..], &bytes[..size]] {
            prop_assert_eq!(
                fast.verify(padding, hash, &bytes, signature),
                with_crate(&crates, padding, hash, &bytes, signature)
            );
        }
    }
}

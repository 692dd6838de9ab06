//! What signatures cost inside a wasm VM: prints the median of each in microseconds.
//!
//! Built for `wasm32-wasip1` with the module's profile and run by node's WASI, whose V8 is the engine
//! that Envoy runs the filter in. Each step runs often enough for V8 to have optimised it, and is timed
//! in small batches, since the clock of a VM may be coarse.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // No part of the filter.

use std::hint::black_box;
use std::time::Instant;

use attach_core::crypto::{
    Algorithm, Hash, HmacKey, NoHost, PublicKey, SigningKey, base64url, hex, keccak256, recover_address,
};
use attach_core::secret::Secret;
use k256::ecdsa::signature::hazmat::PrehashSigner;

/// A PS256 signature over `attach`, and the modulus of its key.
const MODULUS: &str = "e30b0138ee343259407dece4a9edf5ee043fc55375a2ad3814a944f6434e46b8280adcb2e2fd91243f1eb1b00ba76d606dba1e022adcf0f36b2b77154738d38fef7203d65d8162b5b3d1999202657d8acc625fc90862f9bfeb469e0c10f813f35bfb177ab9740b1a5f204c0853328c185cf64ea2a6537144995ef8fd0376d380ddb755eebc231c6706335ca06a2313241a56b19c43467459c20fc1d57902d5bda4374c60d0fa7e4ea82320c5a1b07977bf752362e3d189fb7e17ad22e57f87f8e53c921afed63ea9f02805c081bc6f117b1960f8a729cb300b10cc39c0bc67d98063ba70c413ad922051226b1c1269ac57c72675e3c35d6deb91bd52ee370d27";
const PSS: &str = "099da7b7de40330ebb15da1a38893d05402272f2dfa1d6482b44e9c85cfcd3c66a37cd902a741da23e8ab7aa12bb20ba4582f6b3d1d0ad9c49ee4eafdcea58d68c73102fd0464492b41292ab9945356e9e439a5f46f33bc47bb2ba1b6b95547815fe5df619349bc06e540b68476bf06978018163bb814cb91c32357fe94ea11dc3908143a04f2e94ecd54b3027d5f0541fd57656820d1c9f98ef72985e520fde7be4414208855dccf06db6ac05a37ca3a275920c2118b208d45cc07ea83a9fe0cae3f2297ce52b7cd4b1ffc5f632ac907c43b0f48f947f4fe795f5ea01868d3301e7e8ddbe79e5cb5b8d551b732a74cf3f1c03922679ab0b515dbf614150a031";

const BATCH: u32 = 20;
const BATCHES: usize = 60;

fn median(name: &str, limit: Option<f64>, mut step: impl FnMut()) {
    for _ in 0..200 {
        step();
    }
    let mut times: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..BATCH {
                step();
            }
            start.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let middle = times[BATCHES / 2];
    match limit {
        Some(limit) => println!("{name:24} {middle:8.1} µs   at most {limit}"),
        None => println!("{name:24} {middle:8.1} µs"),
    }
}

fn main() {
    let message = vec![b'a'; 600];

    let key = SigningKey::from_seed(&[7; 32]);
    let public = PublicKey::ed25519(&key.public()).unwrap();
    let signature = key.sign(&message);
    median("Ed25519 verify", Some(120.0), || {
        assert!(black_box(&public).verify(&NoHost, black_box(&message), black_box(&signature)));
    });
    median("Ed25519 sign", None, || {
        black_box(black_box(&key).sign(black_box(&message)));
    });

    let modulus = hex(MODULUS).unwrap();
    let pss = hex(PSS).unwrap();
    let public = PublicKey::rsa(Algorithm::Ps256, &modulus, &[1, 0, 1]).unwrap();
    median("RSA-PSS 2048 verify", Some(200.0), || {
        assert!(black_box(&public).verify(&NoHost, black_box(b"attach"), black_box(&pss)));
    });
    median("RSA 2048 key from a set", None, || {
        black_box(PublicKey::rsa(Algorithm::Ps256, black_box(&modulus), &[1, 0, 1]).unwrap());
    });

    let wallet = k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let digest = keccak256(&[&message]);
    let (signature, recovery) = wallet.sign_prehash_recoverable(&digest).unwrap();
    let recoverable = [&signature.to_bytes()[..], &[recovery.to_byte()]].concat();
    median("secp256k1 recovery", Some(420.0), || {
        assert!(recover_address(black_box(&digest), black_box(&recoverable)).is_some());
    });
    let point = wallet.verifying_key().to_encoded_point(true);
    let public = PublicKey::ec_compressed(Algorithm::Es256k, point.as_bytes()).unwrap();
    let signature: k256::ecdsa::Signature =
        wallet.sign_prehash(&attach_core::crypto::sha256(&[&message])).unwrap();
    let signature = signature.to_bytes();
    median("ES256K verify", Some(420.0), || {
        assert!(black_box(&public).verify(&NoHost, black_box(&message), black_box(&signature)));
    });

    let shared = HmacKey::new(Secret::new(*b"0123456789abcdef0123456789abcdef"));
    // A wrong code costs what a right one does.
    let code = base64url(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    median("HS256 verify", None, || {
        assert!(!black_box(&shared).verify(Hash::Sha256, black_box(&message), black_box(&code)));
    });
}

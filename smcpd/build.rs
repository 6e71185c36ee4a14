//! Lays the program out: what runs at its start stands together, see `packaging/order`.

use std::env;

/// These cannot add a script's sections to their own.
const UNABLE: [&str; 2] = ["fuse-ld=gold", "fuse-ld=mold"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=start.ld");
    // A build for development has other functions, and better things to do.
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let is_linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if is_release && is_linux && !UNABLE.iter().any(|linker| flags.contains(linker)) {
        let directory = env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
        println!("cargo::rustc-link-arg-bin=smcpd=-T{directory}/start.ld");
    }
}

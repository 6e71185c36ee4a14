//! Which of the host's bridges are for containers, and their addresses, as the kernel lists them.
//!
//! Read from /sys and /proc, since the packaged unit has no netlink to ask with.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// An address of a bridge, and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bridge {
    pub(super) name: String,
    pub(super) address: IpAddr,
    pub(super) subnet: Subnet,
}

/// The addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subnet {
    of: IpAddr,
    bits: u32,
}

impl Subnet {
    pub(super) fn contains(self, address: IpAddr) -> bool {
        match (self.of, address.to_canonical()) {
            (IpAddr::V4(of), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits.min(32)).unwrap_or(0);
                of.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(of), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits.min(128)).unwrap_or(0);
                of.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Finds the bridges of this moment; `further` are names that the operator gave.
pub(super) fn find(further: &[String]) -> BTreeSet<Bridge> {
    let is_ours = |name: &str| {
        (is_of_containers(name) || further.iter().any(|given| given == name))
            && is_bridge_without_hardware(Path::new("/sys/class/net"), name)
    };
    let read = |file: &str| fs::read_to_string(Path::new("/proc/self/net").join(file)).unwrap_or_default();
    let four = of_version_4(&read("route"), &read("fib_trie"));
    let six = of_version_6(&read("if_inet6"));
    four.into_iter().chain(six).filter(|bridge| is_ours(&bridge.name)).collect()
}

/// The names that Docker, Podman, CNI, LXC, LXD and Incus give. Not `virbr0`: behind it are machines, which run what
/// somebody else administers. Not `br0`: that is a network card's.
fn is_of_containers(name: &str) -> bool {
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let of_docker = name
        .strip_prefix("br-")
        .is_some_and(|id| id.len() == 12 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    of_docker
        || ["docker", "podman", "cni", "cni-podman", "lxcbr", "lxdbr", "incusbr"].into_iter().any(numbered)
}

/// A bridge with a network card in it leads to the network, whatever it is called.
fn is_bridge_without_hardware(interfaces: &Path, name: &str) -> bool {
    let bridge = interfaces.join(name);
    let Ok(members) = fs::read_dir(bridge.join("brif")) else { return false };
    members.flatten().all(|member| !interfaces.join(member.file_name()).join("device").exists())
}

/// From the routes that need no gateway, and the addresses that are local.
fn of_version_4(routes: &str, trie: &str) -> Vec<Bridge> {
    let (mut local, mut last) = (Vec::<Ipv4Addr>::new(), None::<Ipv4Addr>);
    for line in trie.lines().map(str::trim) {
        match line.strip_prefix("|-- ") {
            Some(address) => last = address.parse().ok(),
            None if line.starts_with("/32 host LOCAL") => local.extend(last),
            None => {}
        }
    }
    let mut found = Vec::new();
    for line in routes.lines().skip(1) {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [name, destination, "00000000", _, _, _, _, mask, ..] = fields[..] else { continue };
        // As the memory of this machine has them.
        let hex = |text| u32::from_str_radix(text, 16).map(|bits| u32::from_be_bytes(bits.to_ne_bytes()));
        let (Ok(destination), Ok(mask)) = (hex(destination), hex(mask)) else { continue };
        if mask == 0 {
            continue;
        }
        let subnet = Subnet { of: Ipv4Addr::from_bits(destination).into(), bits: mask.count_ones() };
        for address in local.iter().map(|address| IpAddr::V4(*address)) {
            let bridge = Bridge { name: name.to_owned(), address, subnet };
            if subnet.contains(address) && !found.contains(&bridge) {
                found.push(bridge);
            }
        }
    }
    found
}

/// From the list of addresses; those of a link alone, and those that are not to be used yet, are left out.
fn of_version_6(addresses: &str) -> Vec<Bridge> {
    const GLOBAL: &str = "00";
    /// Tentative, or found to be another's.
    const UNUSABLE: u32 = 0x40 | 0x08;
    let found = addresses.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [address, _, bits, GLOBAL, flags, name] = fields[..] else { return None };
        let address = IpAddr::V6(Ipv6Addr::from_bits(u128::from_str_radix(address, 16).ok()?));
        let (bits, flags) = (u32::from_str_radix(bits, 16).ok()?, u32::from_str_radix(flags, 16).ok()?);
        let subnet = Subnet { of: address, bits };
        (flags & UNUSABLE == 0).then(|| Bridge { name: name.to_owned(), address, subnet })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridges_of_container_engines_are_known_by_name_and_no_others() {
        for name in [
            "docker0",
            "br-0123456789ab",
            "podman0",
            "podman12",
            "cni0",
            "cni-podman0",
            "lxcbr0",
            "lxdbr0",
            "incusbr0",
        ] {
            assert!(is_of_containers(name), "{name}");
        }
        for name in [
            "",
            "br0",
            "br-lan",
            "br-0123456789AB",
            "br-0123456789abc",
            "virbr0",
            "docker",
            "eth0",
            "docker0x",
            "lo",
        ] {
            assert!(!is_of_containers(name), "{name}");
        }
    }

    #[test]
    fn a_bridge_with_a_network_card_in_it_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let make = |path: &str| fs::create_dir_all(directory.path().join(path)).unwrap();
        make("docker0/brif/veth1");
        make("veth1");
        make("docker1/brif/eth0");
        make("eth0/device");
        make("podman0");
        let judged = |name| is_bridge_without_hardware(directory.path(), name);
        assert!(judged("docker0"));
        assert!(!judged("docker1"), "eth0 is in it");
        assert!(!judged("podman0"), "it is no bridge");
        assert!(!judged("cni0"), "it is not there");
    }

    #[test]
    fn addresses_and_subnets_are_read_as_the_kernel_writes_them() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
            eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 4\n     |-- 172.17.0.0\n        /16 link UNICAST\nLocal:\n\
            \x20    |-- 172.17.0.1\n        /32 host LOCAL\n     |-- 172.17.255.255\n        /32 link BROADCAST\n\
            \x20    |-- 192.168.1.9\n        /32 host LOCAL\n";
        if cfg!(target_endian = "little") {
            let found = of_version_4(routes, trie);
            let shown: Vec<String> = found
                .iter()
                .map(|one| format!("{} {} /{}", one.name, one.address, one.subnet.bits))
                .collect();
            assert_eq!(shown, ["docker0 172.17.0.1 /16", "eth0 192.168.1.9 /24"]);
            let of = found[0].subnet;
            let contains = |text: &str| of.contains(text.parse().unwrap());
            assert!(contains("172.17.0.1") && contains("172.17.255.255") && contains("::ffff:172.17.3.4"));
            assert!(!contains("172.18.0.1") && !contains("127.0.0.1") && !contains("::1"));
        }
        let six = "fd00000000000000000000000000000a 05 40 00 80  docker0\n\
            fe800000000000000000000000000001 05 40 20 80  docker0\n\
            fd00000000000000000000000000000b 05 40 00 c0  podman0\n";
        let found = of_version_6(six);
        let [one] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&*one.name, one.address.to_string()), ("docker0", "fd00::a".to_owned()));
        assert!(one.subnet.contains("fd00::ffff".parse().unwrap()));
        assert!(!one.subnet.contains("fd00:0:0:1::a".parse().unwrap()));
    }
}

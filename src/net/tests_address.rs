//! Tests of address classes and ranges.

use std::net::IpAddr;

use super::{Cidr, CidrError, classify};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("a test address")
}

/// Each block by its edges, and the addresses next to them.
#[test]
fn every_special_range_has_its_class() {
    let table: &[(&str, &[&str])] = &[
        ("unspecified", &["0.0.0.0", "::", "::ffff:0.0.0.0"]),
        ("this-network", &["0.0.0.1", "0.255.255.255"]),
        ("loopback", &["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"]),
        ("private", &["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255"]),
        ("private", &["192.168.0.0", "192.168.255.255", "::ffff:10.0.0.1", "::10.0.0.1"]),
        ("private", &["64:ff9b::10.0.0.1", "::ffff:0:10.0.0.1", "2600::5efe:10.0.0.1"]),
        ("private", &["2600::200:5efe:192.168.1.1"]),
        ("link-local", &["169.254.0.0", "169.254.255.255", "fe80::1", "febf:ffff::1"]),
        ("shared", &["100.64.0.0", "100.127.255.255"]),
        ("cloud-metadata", &["169.254.169.254", "100.100.100.200", "168.63.129.16"]),
        ("cloud-metadata", &["192.0.0.192", "169.254.170.2", "169.254.170.23"]),
        ("cloud-metadata", &["fd00:ec2::254", "fd20:ce::254", "::ffff:169.254.169.254"]),
        ("cloud-metadata", &["64:ff9b::a9fe:a9fe"]),
        ("protocol-assignment", &["192.0.0.0", "192.0.0.255", "2001:1::1", "2001:1ff:ffff::1"]),
        ("protocol-assignment", &["2001:2::1", "2001:10::1", "2001:20::1"]),
        ("documentation", &["192.0.2.0", "192.0.2.255", "198.51.100.1", "203.0.113.255"]),
        ("documentation", &["2001:db8::1", "2001:db8:ffff::1", "3fff::1", "3fff:fff:ffff::1"]),
        ("benchmarking", &["198.18.0.0", "198.19.255.255"]),
        ("6to4-relay", &["192.88.99.0", "192.88.99.255"]),
        ("multicast", &["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1", "ffff::1"]),
        ("broadcast", &["255.255.255.255", "::ffff:255.255.255.255"]),
        ("reserved", &["240.0.0.0", "255.255.255.254", "4000::1", "5f00::1", "100:0:0:1::1"]),
        ("reserved", &["1::1", "1fff:ffff::1", "64:ff9b:0:1::1", "64:ff9b:2::1"]),
        ("ipv4-mapped", &["::ffff:8.8.8.8"]),
        ("ipv4-compatible", &["::8.8.8.8"]),
        ("ipv4-translated", &["::ffff:0:8.8.8.8"]),
        ("nat64-local", &["64:ff9b:1::1", "64:ff9b:1:ffff::8.8.8.8"]),
        ("unique-local", &["fc00::", "fdff:ffff::1"]),
        ("site-local", &["fec0::1", "feff:ffff::1"]),
        ("discard", &["100::", "100::ffff:ffff:ffff:ffff"]),
        ("teredo", &["2001::1", "2001:0:ffff::1"]),
        ("6to4", &["2002::1", "2002:808:808::1", "2002:7f00:1::1"]),
    ];
    for (class, addresses) in table {
        for address in *addresses {
            assert_eq!(classify(ip(address)), Some(*class), "{address}");
        }
    }
    let public = "1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 \
        126.255.255.255 128.0.0.0 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 \
        172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.88.98.255 \
        192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 \
        198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255 64:ff9b::8.8.8.8 2000:: \
        2001:200::1 2001:4860:4860::8888 2001:db7::1 2001:db9::1 2003::1 2606:4700::1111 \
        3ffe:ffff::1 3fff:1000::1 2600::5efe:8.8.8.8";
    for address in public.split_whitespace() {
        assert_eq!(classify(ip(address)), None, "{address}");
    }
}

#[test]
fn ranges_parse_strictly() {
    let good = ["10.1.0.0/16", "10.0.0.0/8", "fc00::/7", "fd12:3456::/32", "127.0.0.1/32"];
    for text in good {
        let range: Cidr = text.parse().expect(text);
        assert_eq!(range.to_string(), text);
    }
    assert_eq!("10.1.2.3".parse::<Cidr>().expect("bare").to_string(), "10.1.2.3/32");
    assert_eq!("fd00::1".parse::<Cidr>().expect("bare").to_string(), "fd00::1/128");
    for text in ["", "/8", "10.0.0.0/", "10.0.0.0/+8", "10.0/8", "a/8", "10.0.0.0/8/8", "10.0.0.0/999"] {
        assert_eq!(text.parse::<Cidr>(), Err(CidrError::Syntax), "{text}");
    }
    let too_long = CidrError::PrefixTooLong { prefix: 33, max: 32 };
    assert_eq!("10.0.0.0/33".parse::<Cidr>(), Err(too_long));
    let too_wide = CidrError::TooWide { prefix: 0, min: 8 };
    assert_eq!("0.0.0.0/0".parse::<Cidr>(), Err(too_wide));
    assert_eq!("::/0".parse::<Cidr>(), Err(CidrError::TooWide { prefix: 0, min: 7 }));
    assert_eq!("::ffff:10.0.0.0/104".parse::<Cidr>(), Err(CidrError::MappedV4));
    let meant = "10.1.0.0/16".parse().expect("a range");
    assert_eq!("10.1.2.3/16".parse::<Cidr>(), Err(CidrError::HostBits { meant }));
}

//! Classes of addresses that are not public, and the ranges that an operator may open.
//!
//! Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890
//! and its updates) and the RFCs named per row. IPv6 is deny-by-default: only
//! 2000::/3, the one block IANA allocates global unicast from, can be public.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Returns the class of an address that is not public; `None` for a public one.
///
/// The class is a fixed lowercase word such as `"loopback"`, `"private"`,
/// `"link-local"` or `"cloud-metadata"`, fit for messages and log fields.
///
/// IPv6 forms that carry an IPv4 address (mapped, compatible, translated,
/// NAT64, ISATAP) have the class of the carried address. With a public IPv4 inside, only
/// the NAT64 well-known prefix is public: RFC 6052 section 3.1 reserves it for
/// global addresses, and IPv6-only hosts behind DNS64 reach the IPv4 internet
/// through it. 6to4 and Teredo are always refused.
#[must_use]
pub fn classify(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => classify_v4(ip),
        IpAddr::V6(ip) => classify_v6(ip),
    }
}

/// An address range an operator opens, e.g. `10.1.0.0/16`.
///
/// See [`Policy::allowed_private`](super::egress::Policy::allowed_private) for what a
/// range can and cannot open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// Error of parsing a [`Cidr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CidrError {
    /// Not `address` or `address/prefix`.
    #[error("not an address range; write it like 10.1.0.0/16 or fd12:3456::/32")]
    Syntax,
    /// The prefix length is longer than the address.
    #[error("prefix length /{prefix} is too long; the longest here is /{max}")]
    PrefixTooLong {
        /// The given length.
        prefix: u8,
        /// The longest length for this address family, in bits.
        max: u8,
    },
    /// The range is wider than any private range there is.
    #[error("prefix length /{prefix} is too wide; the shortest here is /{min}")]
    TooWide {
        /// The given length.
        prefix: u8,
        /// The shortest length for this address family, in bits.
        min: u8,
    },
    /// Bits after the prefix are set, so the writer may have meant another range.
    #[error("address bits after the prefix are set; did you mean {meant}?")]
    HostBits {
        /// The range that holds the given address.
        meant: Cidr,
    },
    /// An IPv4 range written in IPv6 form.
    #[error("an IPv4 range is written in IPv6 form; write it as IPv4")]
    MappedV4,
}

impl Cidr {
    /// Builds the range of `prefix` bits that starts at `network`.
    ///
    /// # Errors
    ///
    /// See [`CidrError`]. The shortest prefix is 8 bits for IPv4 (10.0.0.0/8)
    /// and 7 for IPv6 (fc00::/7), so that a typing error does not open everything.
    pub fn new(network: IpAddr, prefix: u8) -> Result<Cidr, CidrError> {
        if let IpAddr::V6(v6) = network
            && v6.to_ipv4_mapped().is_some()
        {
            // Addresses are compared in canonical form, so it would never match.
            return Err(CidrError::MappedV4);
        }
        let (min, max) = match network {
            IpAddr::V4(_) => (8, 32),
            IpAddr::V6(_) => (7, 128),
        };
        if prefix > max {
            return Err(CidrError::PrefixTooLong { prefix, max });
        }
        if prefix < min {
            return Err(CidrError::TooWide { prefix, min });
        }
        let range = Cidr { network: masked(network, prefix), prefix };
        if range.network == network { Ok(range) } else { Err(CidrError::HostBits { meant: range }) }
    }

    /// True if `ip` lies in the range. An IPv4-mapped IPv6 address counts as the
    /// IPv4 address it carries.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.network.is_ipv4() && masked(ip, self.prefix) == self.network
    }

    /// True if the range is a single address.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.prefix == if self.network.is_ipv4() { 32 } else { 128 }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `address/prefix`, or a bare address as a range of one.
    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| CidrError::Syntax)?;
        let prefix = match prefix {
            // `u8::from_str` accepts "+8" too.
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| CidrError::Syntax)?
            }
            Some(_) => return Err(CidrError::Syntax),
            None if network.is_ipv4() => 32,
            None => 128,
        };
        Cidr::new(network, prefix)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// Class of the loopback addresses.
pub const LOOPBACK: &str = "loopback";
/// Class of cloud instance services that issue credentials.
pub const CLOUD_METADATA: &str = "cloud-metadata";
/// Classes no operator range opens: they name no single peer, and on Linux the
/// first two connect to this machine.
pub const NEVER_OPENED: [&str; 4] = ["unspecified", "this-network", "multicast", "broadcast"];

/// First matching row wins, so single addresses stand before their blocks.
#[rustfmt::skip]
const V4: [(Ipv4Addr, u8, &str); 23] = [
    (Ipv4Addr::UNSPECIFIED, 32, "unspecified"),            // RFC 1122 3.2.1.3
    (Ipv4Addr::UNSPECIFIED, 8, "this-network"),            // RFC 791 3.2
    (Ipv4Addr::new(127, 0, 0, 0), 8, LOOPBACK),                // RFC 1122 3.2.1.3
    (Ipv4Addr::new(169, 254, 169, 254), 32, CLOUD_METADATA),   // AWS, Azure, GCP and more
    (Ipv4Addr::new(169, 254, 170, 2), 32, CLOUD_METADATA),     // AWS ECS task credentials
    (Ipv4Addr::new(169, 254, 170, 23), 32, CLOUD_METADATA),    // AWS EKS pod identity
    (Ipv4Addr::new(100, 100, 100, 200), 32, CLOUD_METADATA),   // Alibaba Cloud
    (Ipv4Addr::new(168, 63, 129, 16), 32, CLOUD_METADATA),     // Azure wire server
    (Ipv4Addr::new(192, 0, 0, 192), 32, CLOUD_METADATA),       // Oracle Cloud, older images
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),                // RFC 1918
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),             // RFC 1918
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),            // RFC 1918
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),         // RFC 3927
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared"),              // RFC 6598, carrier-grade NAT
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol-assignment"),  // RFC 6890 2.1
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),        // RFC 5737
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),     // RFC 5737
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),      // RFC 5737
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),        // RFC 2544
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4-relay"),         // RFC 7526, deprecated
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),             // RFC 5771
    (Ipv4Addr::BROADCAST, 32, "broadcast"),      // RFC 919
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),              // RFC 1112 4
];

/// As [`V4`]; forms that embed IPv4 are handled before this table.
#[rustfmt::skip]
const V6: [(Ipv6Addr, u8, &str); 15] = [
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),                                // RFC 4291 2.5.2
    (Ipv6Addr::LOCALHOST, 128, LOOPBACK),                                       // RFC 4291 2.5.3
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, CLOUD_METADATA),  // AWS
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, CLOUD_METADATA),   // GCP
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique-local"),            // RFC 4193
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),             // RFC 4291 2.5.6
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "site-local"),             // RFC 3879, deprecated
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),               // RFC 4291 2.7
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "nat64-local"),         // RFC 8215
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "discard"),                 // RFC 6666
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "teredo"),                 // RFC 4380
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol-assignment"),    // RFC 2928; ORCHID, benchmarking
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),      // RFC 3849
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),                   // RFC 3056
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),          // RFC 9637
];

fn classify_v4(ip: Ipv4Addr) -> Option<&'static str> {
    V4.iter().find(|(network, prefix, _)| masked_v4(ip, *prefix) == *network).map(|(_, _, class)| *class)
}

fn classify_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let low = {
        let [.., a, b, c, d] = ip.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    let embedded = match ip.segments() {
        // `::` and `::1` are addresses of their own, not IPv4-compatible ones.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, ..] => Some("ipv4-compatible"), // RFC 4291 2.5.5.1
        [0, 0, 0, 0, 0, 0xffff, ..] => Some("ipv4-mapped"), // RFC 4291 2.5.5.2
        [0, 0, 0, 0, 0xffff, 0, ..] => Some("ipv4-translated"), // RFC 2765 2.1
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => return classify_v4(low), // RFC 6052 2.1
        _ => None,
    };
    if let Some(form) = embedded {
        return classify_v4(low).or(Some(form));
    }
    let row = V6.iter().find(|(network, prefix, _)| masked_v6(ip, *prefix) == *network);
    if let Some((_, _, class)) = row {
        return Some(class);
    }
    match ip.segments() {
        // ISATAP (RFC 5214 6.1): the host itself turns this into an IPv4 packet.
        [0x2000..=0x3fff, _, _, _, 0 | 0x200, 0x5efe, ..] => classify_v4(low),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("reserved"),
    }
}

fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4(masked_v4(ip, prefix)),
        IpAddr::V6(ip) => IpAddr::V6(masked_v6(ip, prefix)),
    }
}

/// Keeps the first `prefix` bits. A shift by the full width (prefix 0) has no
/// value, hence `checked_shl`.
fn masked_v4(ip: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0);
    Ipv4Addr::from_bits(ip.to_bits() & mask)
}

/// As [`masked_v4`].
fn masked_v6(ip: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix.into())).unwrap_or(0);
    Ipv6Addr::from_bits(ip.to_bits() & mask)
}

//! Addresses in networks, each to the one form that is compared.

use std::net::IpAddr;

use super::out_of_range;
use crate::event::Rejection;
use crate::table::Address;

/// The address in its usual form, or `None` for what is no such address.
pub fn convert(text: &str, address: Address) -> Result<Option<String>, Rejection> {
    Ok(match address {
        Address::V4 => text.parse().ok().map(|address: std::net::Ipv4Addr| address.to_string()),
        Address::V6 => text.parse().ok().map(|address: std::net::Ipv6Addr| address.to_string()),
        Address::Host => prefixed(text).map(|(address, prefix)| match prefix == bits_of(address) {
            true => address.to_string(),
            false => format!("{address}/{prefix}"),
        }),
        Address::Network => match prefixed(text) {
            Some((address, prefix)) if has_host_bits(address, prefix) => {
                return Err(out_of_range(text, "has bits behind its prefix: it is a host, not a network"));
            }
            network => network.map(|(address, prefix)| format!("{address}/{prefix}")),
        },
        Address::Mac => device(text, 6),
        Address::Mac8 => device(text, 8),
    })
}

/// An address and the length of its prefix, which is all of it if there is none.
fn prefixed(text: &str) -> Option<(IpAddr, u8)> {
    let Some((address, prefix)) = text.split_once('/') else {
        return text.parse().ok().map(|address| (address, bits_of(address)));
    };
    let address = address.parse().ok()?;
    let is_plain = prefix.bytes().all(|digit| digit.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|prefix| is_plain && *prefix <= bits_of(address))?;
    Some((address, prefix))
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn has_host_bits(address: IpAddr, prefix: u8) -> bool {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
        IpAddr::V6(address) => address.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
    }
}

/// `08:00:2b:01:02:03`, `08-00-2b-01-02-03`, `0800.2b01.0203` and `08002b010203` are one.
fn device(text: &str, bytes: usize) -> Option<String> {
    let separator = text.chars().find(|character| matches!(character, ':' | '-' | '.')).unwrap_or(':');
    let groups: Vec<&str> = text.split(separator).collect();
    let digits = groups.concat();
    let even = groups.iter().all(|group| group.len() == groups[0].len());
    if !even || digits.len() != 2 * bytes || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let digits = digits.to_ascii_lowercase();
    Some((0..bytes).map(|nth| &digits[2 * nth..2 * nth + 2]).collect::<Vec<_>>().join(":"))
}

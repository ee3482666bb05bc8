//! Socket addresses between Rust and the kernel (ip(7), ipv6(7)).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for any address the kernel gives us.
#[derive(Clone, Copy)]
#[repr(C)]
pub union RawAddress {
    storage: libc::sockaddr_storage,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// The size of [`RawAddress`], as the kernel wants it.
pub const RAW_ADDRESS_LEN: libc::socklen_t = size_of::<RawAddress>() as libc::socklen_t;

impl RawAddress {
    /// Empty room.
    pub fn zeroed() -> Self {
        Self {
            // SAFETY: sockaddr_storage is plain integers, for which zero is a value.
            storage: unsafe { std::mem::zeroed() },
        }
    }

    /// Writes an address and gives its length.
    pub fn write(&mut self, address: SocketAddr) -> libc::socklen_t {
        match address {
            SocketAddr::V4(address) => {
                self.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from_ne_bytes(address.ip().octets()),
                    },
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>() as libc::socklen_t
            }
            SocketAddr::V6(address) => {
                self.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: 0,
                    sin6_addr: libc::in6_addr {
                        s6_addr: address.ip().octets(),
                    },
                    sin6_scope_id: address.scope_id(),
                };
                size_of::<libc::sockaddr_in6>() as libc::socklen_t
            }
        }
    }

    /// Reads the address the kernel wrote; `None` for any other family.
    pub fn read(&self) -> Option<SocketAddr> {
        // SAFETY: every variant begins with the family, and all were initialised by `zeroed`.
        let family = unsafe { self.storage.ss_family };
        match i32::from(family) {
            libc::AF_INET => {
                // SAFETY: the family says which variant the kernel wrote.
                let raw = unsafe { self.v4 };
                let ip = Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::V4(SocketAddrV4::new(
                    ip,
                    u16::from_be(raw.sin_port),
                )))
            }
            libc::AF_INET6 => {
                // SAFETY: the family says which variant the kernel wrote.
                let raw = unsafe { self.v6 };
                let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
                let port = u16::from_be(raw.sin6_port);
                // The flow label is per packet, never part of a peer's identity.
                Some(SocketAddr::V6(SocketAddrV6::new(
                    ip,
                    port,
                    0,
                    raw.sin6_scope_id,
                )))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in [
            "192.0.2.1:4321",
            "[2001:db8::1]:65535",
            "[fe80::1%3]:1",
            "0.0.0.0:0",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            let mut raw = RawAddress::zeroed();
            raw.write(address);
            assert_eq!(raw.read(), Some(address));
        }
    }

    #[test]
    fn unknown_families_are_none() {
        assert_eq!(RawAddress::zeroed().read(), None);
    }
}

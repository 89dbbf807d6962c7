//! From where a stream may come.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// An address with a prefix length, such as `10.0.0.0/8` or `fd00::/8`. A bare address is that one host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    pub fn contains(&self, ip: IpAddr) -> bool {
        let bits = |ip: IpAddr| match ip.to_canonical() {
            IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
            IpAddr::V6(ip) => (ip.to_bits(), 128),
        };
        let ((net, width), (host, host_width)) = (bits(self.address), bits(ip));
        width == host_width && (self.prefix == 0 || (net ^ host) >> (128 - u32::from(self.prefix)) == 0)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network; write it like 10.0.0.0/8 or 192.0.2.7");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(width), |prefix| prefix.parse().map_err(|_| wrong()))?;
        if prefix > width { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Who may send to one stream. RTP comes from one address. RTCP comes from there, too, or from one other port of the same
/// host: ffmpeg and GStreamer's `rtpbin` have a socket of its own for it.
#[derive(Debug)]
pub struct Source {
    /// Announced, or the first that was valid.
    known: Option<SocketAddr>,
    /// The first that RTCP came from.
    control: Option<SocketAddr>,
    latched: bool,
    anybody: bool,
    allow: std::sync::Arc<[Network]>,
}

impl Source {
    /// `authenticated`: packets prove themselves (SRTP), so the first valid one may come from anywhere.
    pub fn new(
        remote: Option<SocketAddr>,
        latched: Option<SocketAddr>,
        authenticated: bool,
        allow: std::sync::Arc<[Network]>,
    ) -> Self {
        Self {
            known: remote.or(latched).map(canonical),
            control: None,
            latched: remote.is_none() && latched.is_none(),
            anybody: authenticated,
            allow,
        }
    }

    pub fn admits(&self, from: SocketAddr) -> bool {
        self.known.map_or_else(|| self.allows(from), |known| known == canonical(from))
    }

    /// Whether RTCP may come from here.
    pub fn admits_control(&self, from: SocketAddr) -> bool {
        match (self.control, self.known) {
            (Some(_), _) => self.is_known(from),
            (None, Some(known)) => known.ip() == canonical(from).ip(),
            (None, None) => self.allows(from),
        }
    }

    /// Whether something valid came from here before, or it was announced. Who only now turns up may not say goodbye.
    pub fn is_known(&self, from: SocketAddr) -> bool {
        let from = Some(canonical(from));
        self.known == from || self.control == from
    }

    fn allows(&self, from: SocketAddr) -> bool {
        self.anybody
            || from.ip().to_canonical().is_loopback()
            || self.allow.iter().any(|network| network.contains(from.ip()))
    }

    /// A valid packet came from here. `true` the first time, when nobody was known before.
    pub fn latch(&mut self, from: SocketAddr) -> bool {
        let first = self.latched && self.known.is_none();
        if first {
            self.known = Some(canonical(from));
        }
        first
    }

    /// Valid RTCP came from here.
    pub fn latch_control(&mut self, from: SocketAddr) {
        self.control.get_or_insert(canonical(from));
    }

    /// Where RTP comes from.
    pub fn known(&self) -> Option<SocketAddr> {
        self.known
    }

    /// Where reports go.
    pub fn reports_to(&self) -> Option<SocketAddr> {
        self.control.or(self.known)
    }
}

/// An IPv4 sender on a dual-stack socket is the same as on an IPv4 one.
fn canonical(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    #[test]
    fn networks() {
        for (network, ip, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "fd00::1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "fe80::1", true),
        ] {
            let parsed: Network = network.parse().expect("network");
            assert_eq!(parsed.contains(ip.parse().expect("ip")), inside, "{ip} in {network}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "10.0.0.0/x", "host/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_announced_source_is_the_only_one() {
        let mut source = Source::new(Some(at("192.0.2.1:4000")), None, false, [].into());
        assert!(source.admits(at("192.0.2.1:4000")) && source.admits(at("[::ffff:192.0.2.1]:4000")));
        assert!(!source.admits(at("192.0.2.1:4001")) && !source.admits(at("127.0.0.1:4000")));
        assert!(!source.latch(at("192.0.2.1:4000")));
    }

    #[test]
    fn without_one_the_first_valid_from_an_allowed_network_is_latched() {
        let allow: std::sync::Arc<[Network]> = ["10.0.0.0/8".parse().expect("network")].into();
        let mut source = Source::new(None, None, false, allow.clone());
        assert!(
            source.admits(at("127.0.0.1:1")) && source.admits(at("10.1.2.3:1")) && !source.admits(at("192.0.2.1:1"))
        );
        assert!(source.latch(at("10.1.2.3:1")));
        assert!(!source.latch(at("10.1.2.3:1")));
        assert!(!source.admits(at("127.0.0.1:1")) && source.admits(at("10.1.2.3:1")));
        assert!(Source::new(None, None, true, allow.clone()).admits(at("192.0.2.1:1")), "SRTP proves itself");
        assert!(!Source::new(None, Some(at("10.1.2.3:1")), true, allow).admits(at("192.0.2.1:1")), "latched before");
    }

    #[test]
    fn rtcp_has_one_port_of_the_same_host() {
        let mut source = Source::new(None, None, false, ["10.0.0.0/8".parse().expect("network")].into());
        assert!(source.admits_control(at("10.1.2.3:5")) && !source.admits_control(at("192.0.2.1:5")));
        source.latch_control(at("10.1.2.3:5"));
        assert!(source.admits(at("10.1.2.3:4")), "RTCP first does not settle where RTP comes from");
        assert!(source.latch(at("10.1.2.3:4")));
        assert_eq!(source.reports_to(), Some(at("10.1.2.3:5")));
        assert!(source.admits_control(at("10.1.2.3:4")) && source.admits_control(at("10.1.2.3:5")));
        assert!(!source.admits_control(at("10.1.2.3:6")) && !source.admits(at("10.1.2.3:5")));

        let mut announced = Source::new(Some(at("192.0.2.1:4000")), None, false, [].into());
        assert_eq!(announced.reports_to(), Some(at("192.0.2.1:4000")));
        assert!(announced.admits_control(at("192.0.2.1:4001")) && !announced.admits_control(at("192.0.2.2:4000")));
        assert!(announced.is_known(at("192.0.2.1:4000")) && !announced.is_known(at("192.0.2.1:4001")));
        announced.latch_control(at("192.0.2.1:4001"));
        assert!(announced.is_known(at("192.0.2.1:4001")));
    }
}

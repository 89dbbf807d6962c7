//! Secrets of which rows hold a hash only: API keys, guest links and one-time codes.

use crate::store::seal::{self, SealError};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::fmt;

/// A random secret, shown once: its prefix and 32 random bytes in base64url (46 characters).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub const API_KEY: &str = "hk_";
    pub const LINK: &str = "hl_";
    /// The one-time code in a session's `url`.
    pub const CODE: &str = "hc_";

    /// # Errors
    /// The system gives no random numbers.
    pub fn random(prefix: &'static str) -> Result<Self, SealError> {
        Ok(Self(format!(
            "{prefix}{}",
            URL_SAFE_NO_PAD.encode(seal::random::<32>()?)
        )))
    }

    /// `None` when it cannot be one of ours.
    pub fn parse(prefix: &'static str, text: &str) -> Option<Self> {
        let body = URL_SAFE_NO_PAD.decode(text.strip_prefix(prefix)?).ok()?;
        (body.len() == 32).then(|| Self(text.to_owned()))
    }

    /// The secret itself: for the answer that shows it once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the whole text: what rows hold. A fast hash will do, because the secret has 256
    /// random bits.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Its first characters, to tell keys apart in a list.
    pub fn hint(&self) -> &str {
        &self.0[..9]
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}…)", self.hint())
    }
}

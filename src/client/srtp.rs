//! SRTP at the sender (RFC 3711, RFC 7714), with the key that `POST …/streams` answers.

use anyhow::{Context as _, Result, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::fmt;
use tokio_util::bytes::Bytes;
use webrtc_srtp::{context::Context, protection_profile::ProtectionProfile};

/// Suite and key as the API answered them.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKey {
    /// `AES_CM_128_HMAC_SHA1_80`, `AEAD_AES_128_GCM` or `AEAD_AES_256_GCM`.
    pub suite: String,
    /// Base64 of the master key followed by the master salt.
    pub key: String,
}

impl fmt::Debug for SrtpKey {
    /// Never prints the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpKey")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

impl SrtpKey {
    fn context(&self) -> Result<Context> {
        let profile = match self.suite.as_str() {
            "AES_CM_128_HMAC_SHA1_80" => ProtectionProfile::Aes128CmHmacSha1_80,
            "AEAD_AES_128_GCM" => ProtectionProfile::AeadAes128Gcm,
            "AEAD_AES_256_GCM" => ProtectionProfile::AeadAes256Gcm,
            other => bail!("unknown SRTP suite {other}"),
        };
        let material = BASE64_STANDARD
            .decode(&self.key)
            .context("the SRTP key is no base64")?;
        let length = profile.key_len() + profile.salt_len();
        ensure!(
            material.len() == length,
            "the SRTP key has {} bytes, {} takes {length}",
            material.len(),
            self.suite
        );
        let (key, salt) = material.split_at(profile.key_len());
        Ok(Context::new(key, salt, profile, None, None)?)
    }
}

/// One stream's contexts: what we send, and the reports that come back.
pub struct Srtp {
    send: Context,
    receive: Context,
}

impl Srtp {
    /// # Errors
    /// Unknown suite, or key material of another length.
    pub fn new(key: &SrtpKey) -> Result<Self> {
        Ok(Self {
            send: key.context()?,
            receive: key.context()?,
        })
    }

    /// To be called in the order of sequence numbers, each once.
    pub fn protect_rtp(&mut self, packet: &[u8]) -> Result<Bytes> {
        Ok(self.send.encrypt_rtp(packet)?)
    }

    pub fn protect_rtcp(&mut self, packet: &[u8]) -> Result<Bytes> {
        Ok(self.send.encrypt_rtcp(packet)?)
    }

    /// What a receiver protected with the same key.
    pub fn open_rtp(&mut self, packet: &[u8]) -> Result<Bytes> {
        Ok(self.receive.decrypt_rtp(packet)?)
    }

    /// What a receiver protected with the same key.
    pub fn open_rtcp(&mut self, packet: &[u8]) -> Result<Bytes> {
        // The crate's decoder counts from the end and panics on less than header, tag, index and
        // digest.
        ensure!(
            packet.len() >= 8 + 4 + 16,
            "an SRTCP packet of {} bytes",
            packet.len()
        );
        Ok(self.receive.decrypt_rtcp(packet)?)
    }
}

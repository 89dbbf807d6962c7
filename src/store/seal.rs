//! Keys derived from `HANSARD_SECRET`, and sealing of what must lie encrypted in a row (SRTP keys).
//!
//! HKDF-SHA-256 with one `info` per use, so that no key of one use is good for another. The secret
//! is the same on every `api` and `worker`: what an `api` seals a worker opens.

use super::signature::Signer;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand,
};
use std::fmt;

/// The shortest secret that keys are derived from, in bytes.
pub const SECRET_BYTES_MIN: usize = 32;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    #[error("HANSARD_SECRET must have at least {SECRET_BYTES_MIN} bytes")]
    Weak,
    #[error("the system's random numbers are not available")]
    Random,
    /// Changed, sealed for another place, or sealed under another secret.
    #[error("sealed data does not open with this HANSARD_SECRET")]
    Closed,
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

/// A 32-byte key for one use, named by `info`.
pub fn derive(secret: &[u8], info: &str) -> Result<[u8; 32], SealError> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(SealError::Weak);
    }
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, b"hansard")
        .extract(secret)
        .expand(&[info.as_bytes()], Bytes32)
        .and_then(|okm| okm.fill(&mut key))
        .expect("32 bytes are far below HKDF's limit");
    Ok(key)
}

/// `N` random bytes.
pub fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| SealError::Random)?;
    Ok(bytes)
}

/// AES-256-GCM with a random nonce in front of each box. A random 96-bit nonce is good for 2³²
/// boxes; there are two per stream. Beside it the key that signs.
pub struct Seal {
    boxes: LessSafeKey,
    signer: Signer,
}

impl Seal {
    pub fn new(secret: &[u8]) -> Result<Self, SealError> {
        let key = derive(secret, "hansard seal v1")?;
        Ok(Self {
            boxes: LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM, &key).expect("the key has 32 bytes"),
            ),
            signer: Signer::new(&derive(secret, "hansard signature v1")?),
        })
    }

    /// What signs certificates.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Nonce, cipher text and tag. `place` (the row's ids) must be named again to open it, so that
    /// a box moved to another row stays shut.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = random::<NONCE_LEN>()?;
        let mut body = plain.to_vec();
        self.boxes
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place),
                &mut body,
            )
            .map_err(|_| SealError::Random)?;
        Ok([&nonce[..], &body].concat())
    }

    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, body) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealError::Closed)?;
        let mut body = body.to_vec();
        let plain = self
            .boxes
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(place),
                &mut body,
            )
            .map_err(|_| SealError::Closed)?;
        Ok(plain.to_vec())
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

    #[test]
    fn opens_only_unchanged_in_its_place_and_under_its_secret() {
        let seal = Seal::new(SECRET).expect("long enough");
        let sealed = seal
            .seal(b"meeting/stream", b"master key and salt")
            .expect("seals");
        assert_eq!(
            seal.open(b"meeting/stream", &sealed).expect("opens"),
            b"master key and salt"
        );
        assert_eq!(seal.open(b"meeting/other", &sealed), Err(SealError::Closed));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(
                seal.open(b"meeting/stream", &changed),
                Err(SealError::Closed)
            );
            assert_eq!(
                seal.open(b"meeting/stream", &sealed[..at]),
                Err(SealError::Closed)
            );
        }
        let other = Seal::new(b"another secret of thirty-two bytes or more").expect("long enough");
        assert_eq!(
            other.open(b"meeting/stream", &sealed),
            Err(SealError::Closed)
        );
        assert_ne!(
            sealed,
            seal.seal(b"meeting/stream", b"master key and salt")
                .expect("seals")
        );
    }

    #[test]
    fn refuses_a_short_secret_and_keeps_uses_apart() {
        assert_eq!(derive(b"short", "a"), Err(SealError::Weak));
        assert_ne!(derive(SECRET, "a"), derive(SECRET, "b"));
    }
}

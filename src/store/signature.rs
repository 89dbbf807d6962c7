//! Signing what others may want to check without us: Ed25519 (RFC 8032), as a compact JWS (RFC
//! 7515, RFC 8037).

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A key pair. Every process with the same `HANSARD_SECRET` has the same
/// (`store/seal`).
pub struct Signer {
    pair: Ed25519KeyPair,
    kid: String,
}

impl Signer {
    pub fn new(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a key's seed");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        // Its thumbprint (RFC 7638): these members, in this order.
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(members));
        Self { pair, kid }
    }

    /// The key's name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key as a JWK (RFC 7517), for whoever checks a signature.
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(self.pair.public_key()),
        })
    }

    /// A compact JWS of this content.
    pub fn sign(&self, content: &[u8]) -> String {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, self.kid);
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(content)
        );
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};

    /// Another implementation's verdict.
    fn content(jws: &str, of: &Signer) -> Option<Value> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let jwk = of.jwk();
        let x = jwk["x"].as_str().expect("the public key");
        let key = DecodingKey::from_ed_components(x).expect("a key");
        Some(decode::<Value>(jws, &key, &validation).ok()?.claims)
    }

    #[test]
    fn what_is_signed_can_be_checked_by_anybody_and_changed_by_nobody() {
        let signer = Signer::new(&[7; 32]);
        let said = json!({"id": "1", "segments": 3});
        let jws = signer.sign(said.to_string().as_bytes());
        assert_eq!(content(&jws, &signer), Some(said));
        let other = Signer::new(&[8; 32]);
        assert_ne!(other.kid(), signer.kid());
        assert_eq!(content(&jws, &other), None);
        let changed = URL_SAFE_NO_PAD.encode(r#"{"id":"1","segments":4}"#);
        let parts: Vec<&str> = jws.split('.').collect();
        let changed = format!("{}.{changed}.{}", parts[0], parts[2]);
        assert_eq!(content(&changed, &signer), None);
    }
}

//! Meeting passwords: argon2id, off the runtime's threads, a bounded number at a time.

use super::problem::Problem;
use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// At once: each takes 19 MiB and a core for some 30 ms.
const AT_ONCE: usize = 2;
/// The longest wait for a turn.
const TURN_MAX: Duration = Duration::from_secs(3);
/// The longest password, in characters.
pub const PASSWORD_CHARS_MAX: usize = 256;

/// Takes turns.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Semaphore>);

/// A turn; what is decided while it is held is decided for one request at a time or two.
pub struct Turn(OwnedSemaphorePermit);

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Passwords {
    pub async fn turn(&self) -> Result<Turn, Problem> {
        match tokio::time::timeout(TURN_MAX, self.0.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn(permit)),
            _ => Err(Problem::unavailable("too many passwords are being checked")),
        }
    }
}

impl Turn {
    /// The PHC string that a row keeps.
    pub async fn hash(self, password: String) -> Result<String, Problem> {
        let (hashed, turn) = tokio::task::spawn_blocking(move || {
            (
                Argon2::default()
                    .hash_password(password.as_bytes())
                    .map(|hash| hash.to_string()),
                self,
            )
        })
        .await
        .map_err(Problem::internal)?;
        drop(turn.0);
        hashed.map_err(Problem::internal)
    }

    /// Whether the password is the one behind the PHC string. Gives the turn back, to count a wrong
    /// one under it.
    pub async fn verify(self, password: String, phc: String) -> Result<(bool, Self), Problem> {
        tokio::task::spawn_blocking(move || {
            let parsed = PasswordHash::new(&phc).map_err(Problem::internal)?;
            Ok((
                Argon2::default()
                    .verify_password(password.as_bytes(), &parsed)
                    .is_ok(),
                self,
            ))
        })
        .await
        .map_err(Problem::internal)?
    }
}

//! Size and SHA-256 of bytes on their way.

use super::{ObjectError, Result, Stored};
use crate::domain::consent::hex;
use sha2::{Digest, Sha256};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Size and SHA-256 of a file.
pub async fn hash_file(path: &Path) -> Result<Stored> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut hash = Hashing::to(tokio::io::sink());
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).await? {
            0 => return hash.finish().await,
            length => hash.write(&piece[..length]).await?,
        }
    }
}

/// Hashes what passes through.
pub(super) struct Hashing<W> {
    to: W,
    hash: Sha256,
    size_bytes: u64,
    pub bytes_max: u64,
}

impl<W: AsyncWriteExt + Unpin> Hashing<W> {
    pub fn to(to: W) -> Self {
        Self {
            to,
            hash: Sha256::new(),
            size_bytes: 0,
            bytes_max: u64::MAX,
        }
    }

    pub async fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.size_bytes += piece.len() as u64;
        if self.size_bytes > self.bytes_max {
            return Err(ObjectError::Unfit(format!(
                "more than {} bytes",
                self.bytes_max
            )));
        }
        self.hash.update(piece);
        self.to.write_all(piece).await?;
        Ok(())
    }

    pub async fn finish(mut self) -> Result<Stored> {
        self.to.flush().await?;
        Ok(Stored {
            size_bytes: self.size_bytes,
            sha256: hex(&self.hash.finalize()),
            version: None,
        })
    }
}

//! A body on its way into a file, hashed as it passes.

use super::{disk::Unfinished, format::Checksums, refusal::Refusal};
use axum::http::HeaderMap;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use futures_util::StreamExt;
use s3s::{
    S3Error, S3ErrorCode, S3Result, TrailingHeaders,
    checksum::ChecksumHasher,
    crypto::{Checksum as _, Md5},
    dto::StreamingBlob,
};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};
use tokio::io::{AsyncWriteExt, BufWriter};

const PIECE_BYTES: usize = 64 << 10;

/// What the sender says of a body.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub content_md5: Option<String>,
    pub checksums: Checksums,
    /// The algorithm that is to be computed, though no value came with it.
    pub algorithm: Option<String>,
}

/// A body that has arrived whole.
#[derive(Debug)]
pub struct Received {
    pub made: Unfinished,
    pub size_bytes: u64,
    pub md5: [u8; 16],
    pub checksums: Checksums,
}

/// Names of algorithms as S3 has them, and whether one is among the checksums.
pub fn hasher(checksums: &Checksums, algorithm: Option<&str>) -> Result<ChecksumHasher, Refusal> {
    let wants = |name: &str, sum: &Option<String>| sum.is_some() || algorithm == Some(name);
    let known = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"];
    if algorithm.is_some_and(|algorithm| !known.contains(&algorithm)) {
        return Err(Refusal::Invalid("there is no such checksum algorithm"));
    }
    Ok(ChecksumHasher {
        crc32: wants("CRC32", &checksums.crc32).then(Default::default),
        crc32c: wants("CRC32C", &checksums.crc32c).then(Default::default),
        crc64nvme: wants("CRC64NVME", &checksums.crc64nvme).then(Default::default),
        sha1: wants("SHA1", &checksums.sha1).then(Default::default),
        sha256: wants("SHA256", &checksums.sha256).then(Default::default),
    })
}

pub fn finish(hasher: ChecksumHasher) -> Checksums {
    let sums = hasher.finalize();
    Checksums {
        crc32: sums.checksum_crc32,
        crc32c: sums.checksum_crc32c,
        crc64nvme: sums.checksum_crc64nvme,
        sha1: sums.checksum_sha1,
        sha256: sums.checksum_sha256,
        is_composite: false,
    }
}

/// Takes a body into a file of this folder, and checks it against what was said of it.
pub async fn receive(
    folder: &Path,
    mut body: StreamingBlob,
    said: Said,
    trailers: Option<TrailingHeaders>,
) -> S3Result<Received> {
    let mut hasher = hasher(&said.checksums, said.algorithm.as_deref())?;
    let mut md5 = Md5::new();
    let (made, file) = Unfinished::new(folder).map_err(Refusal::from)?;
    let mut file = BufWriter::with_capacity(PIECE_BYTES, tokio::fs::File::from_std(file));
    let mut size_bytes = 0;
    while let Some(piece) = body.next().await {
        // It broke off, or its signature is wrong.
        let piece = piece.map_err(|error| match error.downcast::<S3Error>() {
            Ok(error) => *error,
            Err(error) => S3Error::with_source(S3ErrorCode::IncompleteBody, error),
        })?;
        size_bytes += piece.len() as u64;
        md5.update(&piece);
        hasher.update(&piece);
        file.write_all(&piece).await.map_err(Refusal::from)?;
    }
    file.flush().await.map_err(Refusal::from)?;
    let md5 = md5.finalize();
    if said
        .content_md5
        .is_some_and(|said| said != BASE64.encode(md5))
    {
        return Err(Refusal::Digest("MD5").into());
    }
    let mut expected = said.checksums;
    if let Some(headers) = trailers.and_then(|trailers| trailers.take()) {
        from_trailers(&mut expected, &headers);
    }
    let checksums = finish(hasher);
    let pairs = [
        (&expected.crc32, &checksums.crc32),
        (&expected.crc32c, &checksums.crc32c),
        (&expected.crc64nvme, &checksums.crc64nvme),
        (&expected.sha1, &checksums.sha1),
        (&expected.sha256, &checksums.sha256),
    ];
    if pairs
        .iter()
        .any(|(said, is)| said.is_some() && is.is_some() && said != is)
    {
        return Err(Refusal::Digest("checksum").into());
    }
    Ok(Received {
        made,
        size_bytes,
        md5,
        checksums,
    })
}

fn from_trailers(sums: &mut Checksums, headers: &HeaderMap) {
    let value = |name: &str| {
        let value = headers.get(format!("x-amz-checksum-{name}"))?;
        value.to_str().ok().map(str::to_owned)
    };
    for (name, sum) in [
        ("crc32", &mut sums.crc32),
        ("crc32c", &mut sums.crc32c),
        ("crc64nvme", &mut sums.crc64nvme),
        ("sha1", &mut sums.sha1),
        ("sha256", &mut sums.sha256),
    ] {
        if let Some(value) = value(name) {
            *sum = Some(value);
        }
    }
}

/// The hashes of a file's content that is there already. Blocking.
pub fn hash(
    file: &mut File,
    size_bytes: u64,
    mut hasher: ChecksumHasher,
) -> io::Result<([u8; 16], Checksums)> {
    let mut md5 = Md5::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut rest = file.take(size_bytes);
    loop {
        match rest.read(&mut piece)? {
            0 => return Ok((md5.finalize(), finish(hasher))),
            length => {
                md5.update(&piece[..length]);
                hasher.update(&piece[..length]);
            }
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The entity tag of an object made of parts: the MD5 of their MD5s.
pub fn etag_of_parts(parts: &[[u8; 16]]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}

/// The checksum of an object made of parts, of each algorithm that all of them have.
pub fn composite(parts: &[Checksums]) -> Checksums {
    let of = |pick: fn(&Checksums) -> &Option<String>, algorithm: &str| -> Option<String> {
        let mut hasher = hasher(&Checksums::default(), Some(algorithm)).ok()?;
        for part in parts {
            hasher.update(&BASE64.decode(pick(part).as_ref()?).ok()?);
        }
        let sums = finish(hasher);
        let sum = pick(&sums).as_ref()?;
        Some(format!("{sum}-{}", parts.len()))
    };
    let sums = Checksums {
        crc32: of(|sums| &sums.crc32, "CRC32"),
        crc32c: of(|sums| &sums.crc32c, "CRC32C"),
        crc64nvme: None,
        sha1: of(|sums| &sums.sha1, "SHA1"),
        sha256: of(|sums| &sums.sha256, "SHA256"),
        is_composite: false,
    };
    Checksums {
        is_composite: sums != Checksums::default(),
        ..sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_a_tag_and_a_checksum_in_common() {
        let md5 = |text: &[u8]| Md5::checksum(text);
        assert_eq!(
            etag_of_parts(&[md5(b"a"), md5(b"b")]),
            "96e024ba2074fe77e8e965ba43a704be-2"
        );
        let part = |text: &[u8]| {
            let mut hasher = hasher(&Checksums::default(), Some("SHA256")).expect("it is known");
            hasher.update(text);
            finish(hasher)
        };
        let both = composite(&[part(b"a"), part(b"b")]);
        assert!(both.is_composite);
        assert!(both.sha256.expect("both have one").ends_with("=-2"));
        assert_eq!(both.sha1, None);
        assert_eq!(
            composite(&[part(b"a"), Checksums::default()]),
            Checksums::default()
        );
    }
}

//! What the store says no to, and what S3 calls it.

use axum::http::{HeaderMap, HeaderValue};
use s3s::{S3Error, S3ErrorCode};
use std::io;

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such bucket")]
    NoBucket,
    #[error("the bucket is there already")]
    BucketExists,
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    #[error("there is no such object")]
    NoKey,
    /// The id of the marker that says so.
    #[error("the object was deleted")]
    Deleted(String),
    #[error("there is no such version")]
    NoVersion,
    #[error("the version marks a deletion")]
    IsMarker,
    #[error("a part of the key is too long for this store")]
    KeyTooLong,
    #[error("the object is in the archive and not restored")]
    Archived,
    #[error("the object is in no archive")]
    NotArchived,
    #[error("a restore is under way")]
    RestoreRunning,
    #[error("there is no such storage class")]
    NoClass,
    #[error("a condition does not hold")]
    Precondition,
    #[error("it was not modified")]
    NotModified,
    #[error("there is no such upload")]
    NoUpload,
    #[error("a part is missing or differs")]
    InvalidPart,
    #[error("parts are not in ascending order")]
    PartOrder,
    #[error("a part other than the last is below 5 MiB")]
    PartTooSmall,
    #[error("{0}")]
    Invalid(&'static str),
    #[error("what arrived has another {0} than was said")]
    Digest(&'static str),
    /// The disk is full or fails, or a file is damaged.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        use S3ErrorCode as Code;
        let code = match &refusal {
            Refusal::NoBucket => Code::NoSuchBucket,
            Refusal::BucketExists => Code::BucketAlreadyOwnedByYou,
            Refusal::BucketNotEmpty => Code::BucketNotEmpty,
            Refusal::NoKey | Refusal::Deleted(_) => Code::NoSuchKey,
            Refusal::NoVersion => Code::NoSuchVersion,
            Refusal::IsMarker => Code::MethodNotAllowed,
            Refusal::KeyTooLong => Code::KeyTooLongError,
            Refusal::Archived | Refusal::NotArchived => Code::InvalidObjectState,
            Refusal::RestoreRunning => Code::RestoreAlreadyInProgress,
            Refusal::NoClass => Code::InvalidStorageClass,
            Refusal::Precondition => Code::PreconditionFailed,
            Refusal::NotModified => Code::NotModified,
            Refusal::NoUpload => Code::NoSuchUpload,
            Refusal::InvalidPart => Code::InvalidPart,
            Refusal::PartOrder => Code::InvalidPartOrder,
            Refusal::PartTooSmall => Code::EntityTooSmall,
            Refusal::Invalid(_) => Code::InvalidArgument,
            Refusal::Digest(_) => Code::BadDigest,
            Refusal::Disk(_) => Code::InternalError,
        };
        if let Refusal::Disk(error) = &refusal {
            tracing::error!(%error, "the S3 server's disk");
        }
        let mut error = S3Error::with_message(code, refusal.to_string());
        let marker = match &refusal {
            Refusal::Deleted(id) => HeaderValue::from_str(id).ok().map(Some),
            Refusal::IsMarker => Some(None),
            _ => None,
        };
        if let Some(id) = marker {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
            if let Some(id) = id {
                headers.insert("x-amz-version-id", id);
            }
            error.set_headers(headers);
        }
        error
    }
}

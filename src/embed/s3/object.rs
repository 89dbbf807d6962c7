//! The calls about one object.

use super::{
    answer::{Service, instant, timestamp},
    archive::{self, STANDARD, State},
    condition::{Conditions, Tag},
    disk::Unfinished,
    format::{Attributes, Checksums, Version},
    history::NULL,
    receive::{self, Said, hex, receive},
    refusal::Refusal,
    store::{Opened, Result, Store},
};
use s3s::{S3Request, S3Response, S3Result, dto::*};
use std::io::{self, Read, Seek, SeekFrom};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

const PIECE_BYTES: usize = 64 << 10;

pub fn tag(condition: Option<ETagCondition>) -> Option<Tag> {
    condition.map(|condition| match condition {
        ETagCondition::Any => Tag::Any,
        ETagCondition::ETag(tag) => Tag::Is(tag.into_value()),
    })
}

/// What a request says of the object that it reads, or copies from.
pub fn conditions(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
) -> Conditions {
    Conditions {
        if_match: tag(if_match),
        if_none_match: tag(if_none_match),
        if_modified_since: if_modified_since.as_ref().and_then(instant),
        if_unmodified_since: if_unmodified_since.as_ref().and_then(instant),
    }
}

/// The class that was asked for, if it is one.
pub fn class(asked: Option<&str>) -> Result<String> {
    let class = asked.unwrap_or(STANDARD);
    if archive::is_class(class) {
        Ok(class.to_owned())
    } else {
        Err(Refusal::NoClass)
    }
}

/// `null` goes unsaid where a bucket never had versions.
fn shown_id(version: &Version) -> Option<String> {
    (version.id != NULL).then(|| version.id.clone())
}

/// STANDARD goes unsaid, as in S3.
fn shown_class(version: &Version) -> Option<StorageClass> {
    (version.class != STANDARD).then(|| version.class.clone().into())
}

pub fn checksum_type(sums: &Checksums) -> Option<ChecksumType> {
    (*sums != Checksums::default()).then(|| {
        ChecksumType::from_static(if sums.is_composite {
            ChecksumType::COMPOSITE
        } else {
            ChecksumType::FULL_OBJECT
        })
    })
}

pub fn etag(version: &Version) -> Option<ETag> {
    Some(ETag::Strong(version.etag.clone()))
}

pub async fn put(service: &Service, req: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
    let input = req.input;
    let class = class(input.storage_class.as_ref().map(StorageClass::as_str))?;
    let conditions = Conditions {
        if_match: tag(input.if_match),
        if_none_match: tag(input.if_none_match),
        ..Conditions::default()
    };
    // Before a body is taken for nothing.
    let bucket = input.bucket.clone();
    service.blocking(move |store| store.bucket(&bucket)).await?;
    let body = input.body.ok_or(Refusal::Invalid("a body is missing"))?;
    let said = Said {
        content_md5: input.content_md5,
        checksums: Checksums {
            crc32: input.checksum_crc32,
            crc32c: input.checksum_crc32c,
            crc64nvme: input.checksum_crc64nvme,
            sha1: input.checksum_sha1,
            sha256: input.checksum_sha256,
            is_composite: false,
        },
        algorithm: input
            .checksum_algorithm
            .map(|algorithm| algorithm.as_str().to_owned()),
    };
    let unfinished = service.store.unfinished();
    let received = receive(&unfinished, body, said, req.trailing_headers).await?;
    let version = Version {
        bucket: input.bucket,
        key: input.key,
        size_bytes: received.size_bytes,
        etag: hex(&received.md5),
        class,
        attributes: Attributes {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            metadata: input.metadata.unwrap_or_default().into_iter().collect(),
        },
        checksums: received.checksums,
        ..Version::default()
    };
    let made = received.made;
    let version = service
        .blocking(move |store| store.commit(made, version, &conditions))
        .await?;
    let sums = version.checksums.clone();
    Ok(PutObjectOutput {
        checksum_type: checksum_type(&sums),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        e_tag: etag(&version),
        version_id: shown_id(&version),
        ..Default::default()
    })
}

async fn open(
    service: &Service,
    bucket: String,
    key: String,
    id: Option<String>,
    conditions: Conditions,
) -> S3Result<Opened> {
    service
        .blocking(move |store| {
            let opened = store.open_version(&bucket, &key, id.as_deref())?;
            conditions.of_read(&opened.version.etag, opened.version.written)?;
            Ok(opened)
        })
        .await
}

pub async fn get(service: &Service, input: GetObjectInput) -> S3Result<GetObjectOutput> {
    let conditions = conditions(
        input.if_match,
        input.if_none_match,
        input.if_modified_since,
        input.if_unmodified_since,
    );
    let Opened {
        file,
        version,
        state,
    } = open(
        service,
        input.bucket,
        input.key,
        input.version_id,
        conditions,
    )
    .await?;
    if !state.is_readable() {
        return Err(Refusal::Archived.into());
    }
    let size = version.size_bytes;
    let (span, content_range) = match input.range {
        None => (0..size, None),
        Some(range) => {
            let span = range.check(size)?;
            let said = format!("bytes {}-{}/{size}", span.start, span.end - 1);
            (span, Some(said))
        }
    };
    let length = span.end - span.start;
    let mut file = tokio::fs::File::from_std(file);
    tokio::io::AsyncSeekExt::seek(&mut file, SeekFrom::Start(span.start))
        .await
        .map_err(Refusal::from)?;
    let body = ReaderStream::with_capacity(file.take(length), PIECE_BYTES);
    let is_checked = input.checksum_mode.is_some() && length == size;
    let sums = if is_checked {
        version.checksums.clone()
    } else {
        Checksums::default()
    };
    let Attributes {
        content_type,
        content_encoding,
        content_disposition,
        content_language,
        cache_control,
        metadata,
    } = version.attributes.clone();
    Ok(GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(StreamingBlob::wrap(body)),
        content_length: Some(length.cast_signed()),
        content_range,
        checksum_type: checksum_type(&sums),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        content_type,
        content_encoding,
        content_disposition,
        content_language,
        cache_control,
        e_tag: etag(&version),
        last_modified: Some(timestamp(version.written)),
        metadata: Some(metadata.into_iter().collect()),
        restore: state.header(),
        storage_class: shown_class(&version),
        version_id: shown_id(&version),
        ..Default::default()
    })
}

pub async fn head(service: &Service, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
    let conditions = conditions(
        input.if_match,
        input.if_none_match,
        input.if_modified_since,
        input.if_unmodified_since,
    );
    let Opened { version, state, .. } = open(
        service,
        input.bucket,
        input.key,
        input.version_id,
        conditions,
    )
    .await?;
    let sums = match input.checksum_mode {
        Some(_) => version.checksums.clone(),
        None => Checksums::default(),
    };
    let said = version.attributes.clone();
    Ok(HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(version.size_bytes.cast_signed()),
        checksum_type: checksum_type(&sums),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        content_type: input.response_content_type.or(said.content_type),
        content_encoding: input.response_content_encoding.or(said.content_encoding),
        content_disposition: input
            .response_content_disposition
            .or(said.content_disposition),
        content_language: input.response_content_language.or(said.content_language),
        cache_control: input.response_cache_control.or(said.cache_control),
        e_tag: etag(&version),
        last_modified: Some(timestamp(version.written)),
        metadata: Some(said.metadata.into_iter().collect()),
        restore: state.header(),
        storage_class: shown_class(&version),
        version_id: shown_id(&version),
        ..Default::default()
    })
}

/// Opens what is to be copied.
pub fn open_source(store: &Store, source: &CopySource, conditions: &Conditions) -> Result<Opened> {
    let CopySource::Bucket {
        bucket,
        key,
        version_id,
    } = source
    else {
        return Err(Refusal::Invalid("only buckets can be copied from"));
    };
    let opened = store.open_version(bucket, key, version_id.as_deref())?;
    conditions.of_copy(&opened.version.etag, opened.version.written)?;
    match opened.state {
        State::Open | State::Restored { .. } => Ok(opened),
        State::Archived | State::Running => Err(Refusal::Archived),
    }
}

pub async fn copy(service: &Service, input: CopyObjectInput) -> S3Result<CopyObjectOutput> {
    let asked = class(input.storage_class.as_ref().map(StorageClass::as_str))?;
    let is_replaced = input
        .metadata_directive
        .as_ref()
        .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    let is_same = matches!(
        &input.copy_source,
        CopySource::Bucket { bucket, key, version_id: None }
            if **bucket == *input.bucket && **key == *input.key
    );
    if is_same && !is_replaced && input.storage_class.is_none() {
        return Err(s3s::s3_error!(
            InvalidRequest,
            "an object cannot be copied to itself without a change of class or metadata"
        ));
    }
    let conditions = conditions(
        input.copy_source_if_match,
        input.copy_source_if_none_match,
        input.copy_source_if_modified_since,
        input.copy_source_if_unmodified_since,
    );
    let algorithm = input
        .checksum_algorithm
        .map(|algorithm| algorithm.as_str().to_owned());
    let replaced = is_replaced.then(|| Attributes {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        metadata: input.metadata.unwrap_or_default().into_iter().collect(),
    });
    let (bucket, key, source) = (input.bucket, input.key, input.copy_source);
    let (version, from) = service
        .blocking(move |store| {
            let Opened {
                mut file,
                version: from,
                ..
            } = open_source(store, &source, &conditions)?;
            store.bucket(&bucket)?;
            let size = from.size_bytes;
            let (made, mut copied) = Unfinished::new(&store.unfinished())?;
            file.rewind()?;
            if io::copy(&mut Read::by_ref(&mut file).take(size), &mut copied)? != size {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let (etag, checksums) = match sums_to_make(&from, algorithm.as_deref()) {
                None => (from.etag.clone(), from.checksums.clone()),
                Some(algorithm) => {
                    file.rewind()?;
                    let none = Checksums::default();
                    let hasher = receive::hasher(&none, algorithm.as_deref())?;
                    let (md5, sums) = receive::hash(&mut file, size, hasher)?;
                    (hex(&md5), sums)
                }
            };
            let version = Version {
                bucket,
                key,
                size_bytes: size,
                etag,
                class: asked,
                attributes: replaced.unwrap_or_else(|| from.attributes.clone()),
                checksums,
                ..Version::default()
            };
            let version = store.commit(made, version, &Conditions::default())?;
            Ok((version, from))
        })
        .await?;
    let sums = version.checksums.clone();
    let result = CopyObjectResult {
        checksum_type: checksum_type(&sums),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        e_tag: etag(&version),
        last_modified: Some(timestamp(version.written)),
    };
    Ok(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: shown_id(&from),
        version_id: shown_id(&version),
        ..Default::default()
    })
}

/// The algorithm by which a copy is hashed anew; `None` where what is known of its source stays
/// true. A copy is one piece, so what was made of parts is not.
fn sums_to_make(from: &Version, asked: Option<&str>) -> Option<Option<String>> {
    let sums = &from.checksums;
    let has = |algorithm: &str| {
        !sums.is_composite
            && match algorithm {
                "CRC32" => sums.crc32.is_some(),
                "CRC32C" => sums.crc32c.is_some(),
                "CRC64NVME" => sums.crc64nvme.is_some(),
                "SHA1" => sums.sha1.is_some(),
                "SHA256" => sums.sha256.is_some(),
                _ => false,
            }
    };
    match asked {
        Some(algorithm) if !has(algorithm) => Some(Some(algorithm.to_owned())),
        _ if from.parts.is_empty() && !sums.is_composite => None,
        Some(algorithm) => Some(Some(algorithm.to_owned())),
        None if sums.sha256.is_some() => Some(Some("SHA256".to_owned())),
        None => Some(None),
    }
}

pub async fn restore(
    service: &Service,
    input: RestoreObjectInput,
) -> S3Result<S3Response<RestoreObjectOutput>> {
    let days = input.restore_request.and_then(|request| request.days);
    let days = days.ok_or(Refusal::Invalid("a restore needs Days"))?;
    if !(1..=archive::DAYS_MAX).contains(&days) {
        return Err(Refusal::Invalid("Days are 1 to 36500").into());
    }
    let is_new = service
        .blocking(move |store| {
            store.restore(&input.bucket, &input.key, input.version_id.as_deref(), days)
        })
        .await?;
    let mut response = S3Response::new(RestoreObjectOutput::default());
    if is_new {
        response.status = Some(axum::http::StatusCode::ACCEPTED);
    }
    Ok(response)
}

pub async fn delete(service: &Service, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
    let deleted = service
        .blocking(move |store| store.delete(&input.bucket, &input.key, input.version_id.as_deref()))
        .await?;
    Ok(DeleteObjectOutput {
        delete_marker: deleted.is_marker.then_some(true),
        version_id: deleted.id,
        ..Default::default()
    })
}

pub async fn delete_many(
    service: &Service,
    input: DeleteObjectsInput,
) -> S3Result<DeleteObjectsOutput> {
    let is_quiet = input.delete.quiet.unwrap_or(false);
    let (bucket, objects) = (input.bucket, input.delete.objects);
    service
        .blocking(move |store| {
            store.bucket(&bucket)?;
            let (mut gone, mut errors) = (Vec::new(), Vec::new());
            for object in objects {
                let asked = object.version_id;
                match store.delete(&bucket, &object.key, asked.as_deref()) {
                    Ok(deleted) => gone.push(DeletedObject {
                        key: Some(object.key),
                        delete_marker: deleted.is_marker.then_some(true),
                        delete_marker_version_id: deleted.id.filter(|_| deleted.is_marker),
                        version_id: asked,
                    }),
                    Err(refusal) => {
                        let message = refusal.to_string();
                        let error = s3s::S3Error::from(refusal);
                        errors.push(Error {
                            code: Some(error.code().as_str().to_owned()),
                            key: Some(object.key),
                            message: Some(message),
                            version_id: asked,
                        });
                    }
                }
            }
            Ok(DeleteObjectsOutput {
                deleted: (!is_quiet).then_some(gone),
                errors: (!errors.is_empty()).then_some(errors),
                ..Default::default()
            })
        })
        .await
}

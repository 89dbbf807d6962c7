//! The calls about uploads in parts.

use super::{
    answer::{Service, timestamp},
    condition::Conditions,
    disk::Unfinished,
    format::{Attributes, Checksums},
    object::{checksum_type, class, conditions, etag, open_source, tag},
    receive::{self, Received, Said, receive},
    refusal::Refusal,
    store::Opened,
    upload::Wanted,
};
use s3s::{S3Request, S3Result, dto::*};
use std::io::{self, Read, Seek, SeekFrom};

pub async fn create(
    service: &Service,
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let class = class(input.storage_class.as_ref().map(StorageClass::as_str))?;
    let algorithm = input.checksum_algorithm;
    let named = algorithm
        .as_ref()
        .map(|algorithm| algorithm.as_str().to_owned());
    let attributes = Attributes {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        metadata: input.metadata.unwrap_or_default().into_iter().collect(),
    };
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let upload = service
        .blocking(move |store| store.begin_upload(&bucket, &key, class, attributes, named))
        .await?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.id),
        checksum_algorithm: algorithm,
        ..Default::default()
    })
}

pub async fn put(service: &Service, req: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
    let input = req.input;
    let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
    let begun = {
        let (bucket, key, id) = (bucket.clone(), key.clone(), id.clone());
        service
            .blocking(move |store| store.upload_algorithm(&bucket, &key, &id))
            .await?
    };
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
            .map(|algorithm| algorithm.as_str().to_owned())
            .or(begun),
    };
    let body = input.body.ok_or(Refusal::Invalid("a body is missing"))?;
    let unfinished = service.store.unfinished();
    let received = receive(&unfinished, body, said, req.trailing_headers).await?;
    let number = input.part_number;
    let part = service
        .blocking(move |store| store.put_part(&bucket, &key, &id, number, received))
        .await?;
    let sums = part.checksums.clone();
    Ok(UploadPartOutput {
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        e_tag: etag(&part),
        ..Default::default()
    })
}

/// `bytes=first-last`, both of them included.
fn span(range: Option<&str>, size: u64) -> Result<std::ops::Range<u64>, Refusal> {
    let Some(range) = range else {
        return Ok(0..size);
    };
    let wrong = || Refusal::Invalid("a range to copy is bytes=first-last, within the object");
    let (first, last) = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .ok_or_else(wrong)?;
    let (first, last): (u64, u64) = first
        .parse()
        .ok()
        .zip(last.parse().ok())
        .ok_or_else(wrong)?;
    if first <= last && last < size {
        Ok(first..last + 1)
    } else {
        Err(wrong())
    }
}

pub async fn copy(service: &Service, input: UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
    let conditions = conditions(
        input.copy_source_if_match,
        input.copy_source_if_none_match,
        input.copy_source_if_modified_since,
        input.copy_source_if_unmodified_since,
    );
    let part = service
        .blocking(move |store| {
            let (bucket, key, id) = (&input.bucket, &input.key, &input.upload_id);
            let algorithm = store.upload_algorithm(bucket, key, id)?;
            let Opened {
                mut file, version, ..
            } = open_source(store, &input.copy_source, &conditions)?;
            let span = span(input.copy_source_range.as_deref(), version.size_bytes)?;
            let size_bytes = span.end - span.start;
            let (made, mut copied) = Unfinished::new(&store.unfinished())?;
            file.seek(SeekFrom::Start(span.start))?;
            if io::copy(&mut file.take(size_bytes), &mut copied)? != size_bytes {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            copied.rewind()?;
            let hasher = receive::hasher(&Checksums::default(), algorithm.as_deref())?;
            let (md5, checksums) = receive::hash(&mut copied, size_bytes, hasher)?;
            let received = Received {
                made,
                size_bytes,
                md5,
                checksums,
            };
            store.put_part(bucket, key, id, input.part_number, received)
        })
        .await?;
    let sums = part.checksums.clone();
    Ok(UploadPartCopyOutput {
        copy_part_result: Some(CopyPartResult {
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            e_tag: etag(&part),
            last_modified: Some(timestamp(part.written)),
        }),
        ..Default::default()
    })
}

pub async fn complete(
    service: &Service,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let conditions = Conditions {
        if_match: tag(input.if_match),
        if_none_match: tag(input.if_none_match),
        ..Conditions::default()
    };
    let listed = input.multipart_upload.and_then(|upload| upload.parts);
    let wanted: Vec<_> = listed
        .unwrap_or_default()
        .into_iter()
        .map(|part| Wanted {
            number: part.part_number.unwrap_or(0),
            etag: part.e_tag.map(ETag::into_value),
        })
        .collect();
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id);
    let version = service
        .blocking(move |store| store.complete_upload(&bucket, &key, &id, &wanted, &conditions))
        .await?;
    let sums = version.checksums.clone();
    Ok(CompleteMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        checksum_type: checksum_type(&sums),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        e_tag: etag(&version),
        version_id: (version.id != super::history::NULL).then_some(version.id),
        ..Default::default()
    })
}

pub async fn list_parts(service: &Service, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let (bucket, key, id) = (
        input.bucket.clone(),
        input.key.clone(),
        input.upload_id.clone(),
    );
    let (upload, parts) = service
        .blocking(move |store| store.list_parts(&bucket, &key, &id))
        .await?;
    let after = input.part_number_marker.unwrap_or(0);
    let limit = input.max_parts.unwrap_or(1000).clamp(0, 1000);
    let mut parts: Vec<_> = parts
        .into_iter()
        .filter(|part| i128::from(part.number) > i128::from(after))
        .map(|part| Part {
            part_number: i32::try_from(part.number).ok(),
            size: Some(part.size_bytes.cast_signed()),
            e_tag: etag(&part),
            last_modified: Some(timestamp(part.written)),
            checksum_sha256: part.checksums.sha256,
            ..Default::default()
        })
        .collect();
    let is_truncated = parts.len() > limit.unsigned_abs() as usize;
    parts.truncate(limit.unsigned_abs() as usize);
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(limit),
        part_number_marker: input.part_number_marker,
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        is_truncated: Some(is_truncated),
        parts: Some(parts),
        storage_class: Some(upload.class.into()),
        ..Default::default()
    })
}

pub async fn list(
    service: &Service,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    let (bucket, prefix) = (
        input.bucket.clone(),
        input.prefix.clone().unwrap_or_default(),
    );
    let mut found = service
        .blocking(move |store| store.list_uploads(&bucket, &prefix))
        .await?;
    let limit = input.max_uploads.unwrap_or(1000).clamp(0, 1000);
    if let Some(after) = &input.key_marker {
        let id = input.upload_id_marker.as_ref();
        found.retain(|upload| {
            upload.key > *after || (upload.key == *after && id.is_some_and(|id| upload.id > *id))
        });
    }
    let is_truncated = found.len() > limit.unsigned_abs() as usize;
    found.truncate(limit.unsigned_abs() as usize);
    let last = found.last().filter(|_| is_truncated).cloned();
    let uploads: Vec<_> = found
        .into_iter()
        .map(|upload| MultipartUpload {
            initiated: Some(timestamp(upload.begun)),
            key: Some(upload.key),
            upload_id: Some(upload.id),
            storage_class: Some(upload.class.into()),
            ..Default::default()
        })
        .collect();
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix,
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        max_uploads: Some(limit),
        is_truncated: Some(is_truncated),
        next_key_marker: last.as_ref().map(|upload| upload.key.clone()),
        next_upload_id_marker: last.map(|upload| upload.id),
        uploads: (!uploads.is_empty()).then_some(uploads),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_to_copy_lies_within_the_object() {
        assert_eq!(span(None, 10).ok(), Some(0..10));
        assert_eq!(span(Some("bytes=2-9"), 10).ok(), Some(2..10));
        for wrong in ["bytes=2-10", "bytes=5-4", "2-3", "bytes=-3", "bytes=3-"] {
            assert!(span(Some(wrong), 10).is_err(), "{wrong}");
        }
    }
}

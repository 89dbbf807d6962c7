//! Listings of objects and versions, a page at a time.

use super::{
    answer::{Service, timestamp},
    format::Version,
    object::etag,
    refusal::Refusal,
    walk::{Begin, Item, Page},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use s3s::{S3Result, dto::*};

const PAGE_MAX: i32 = 1000;

fn limit(asked: Option<i32>) -> S3Result<(i32, usize)> {
    let asked = asked.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let limit = usize::try_from(asked).map_err(|_| Refusal::Invalid("negative limit"))?;
    Ok((asked, limit))
}

fn prefixes(prefixes: Vec<String>) -> Option<Vec<CommonPrefix>> {
    let found: Vec<_> = prefixes
        .into_iter()
        .map(|prefix| CommonPrefix {
            prefix: Some(prefix),
        })
        .collect();
    (!found.is_empty()).then_some(found)
}

fn size(version: &Version) -> Option<i64> {
    Some(version.size_bytes.cast_signed())
}

/// Where the next page begins, as callers carry it.
fn token(begin: &Begin) -> String {
    URL_SAFE_NO_PAD.encode(match &begin.skip {
        Some(prefix) => format!("p{prefix}"),
        None => format!("k{}", begin.key),
    })
}

fn begin(token: &str) -> Option<Begin> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (key, skip) = match (text.strip_prefix('p'), text.strip_prefix('k')) {
        (Some(prefix), _) => (prefix, Some(prefix.to_owned())),
        (None, key) => (key?, None),
    };
    Some(Begin {
        key: key.to_owned(),
        is_included: false,
        skip,
    })
}

pub async fn objects(
    service: &Service,
    input: ListObjectsV2Input,
) -> S3Result<ListObjectsV2Output> {
    let (max_keys, limit) = limit(input.max_keys)?;
    let begin = match &input.continuation_token {
        Some(token) => begin(token).ok_or(Refusal::Invalid("no continuation token of ours"))?,
        None => Begin {
            key: input.start_after.clone().unwrap_or_default(),
            ..Begin::default()
        },
    };
    let (bucket, delimiter) = (input.bucket.clone(), input.delimiter.clone());
    let prefix = input.prefix.clone().unwrap_or_default();
    let Page { items, next } = service
        .blocking(move |store| store.list(&bucket, &prefix, delimiter.as_deref(), &begin, limit))
        .await?;
    let key_count = items.len() as i32;
    let (mut contents, mut common) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Prefix(prefix) => common.push(prefix),
            Item::Object(version) => contents.push(Object {
                e_tag: etag(&version),
                last_modified: Some(timestamp(version.written)),
                size: size(&version),
                storage_class: Some(version.class.into()),
                key: Some(version.key),
                ..Default::default()
            }),
        }
    }
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: input.prefix,
        delimiter: input.delimiter,
        start_after: input.start_after,
        continuation_token: input.continuation_token,
        max_keys: Some(max_keys),
        key_count: Some(key_count),
        contents: (!contents.is_empty()).then_some(contents),
        common_prefixes: prefixes(common),
        is_truncated: Some(next.is_some()),
        next_continuation_token: next.as_ref().map(token),
        ..Default::default()
    })
}

pub async fn versions(
    service: &Service,
    input: ListObjectVersionsInput,
) -> S3Result<ListObjectVersionsOutput> {
    let (max_keys, limit) = limit(input.max_keys)?;
    let begin = Begin {
        key: input.key_marker.clone().unwrap_or_default(),
        is_included: input.version_id_marker.is_some(),
        skip: input
            .key_marker
            .clone()
            .zip(input.delimiter.as_ref())
            .filter(|(key, delimiter)| !delimiter.is_empty() && key.ends_with(delimiter.as_str()))
            .map(|(key, _)| key),
    };
    let (bucket, delimiter) = (input.bucket.clone(), input.delimiter.clone());
    let (prefix, marker) = (
        input.prefix.clone().unwrap_or_default(),
        input.version_id_marker.clone(),
    );
    let page = service
        .blocking(move |store| {
            let (delimiter, marker) = (delimiter.as_deref(), marker.as_deref());
            store.list_versions(&bucket, &prefix, delimiter, &begin, marker, limit)
        })
        .await?;
    let last = page.items.last().map(|listed| &listed.version);
    let last_prefix = page.prefixes.last();
    let (next_key, next_id) = match (page.is_truncated, last, last_prefix) {
        (false, ..) | (true, None, None) => (None, None),
        (true, Some(version), prefix) if prefix.is_none_or(|prefix| *prefix < version.key) => {
            (Some(version.key.clone()), Some(version.id.clone()))
        }
        (true, _, prefix) => (prefix.cloned(), None),
    };
    let (mut versions, mut markers) = (Vec::new(), Vec::new());
    for listed in page.items {
        let version = listed.version;
        if version.is_marker {
            markers.push(DeleteMarkerEntry {
                is_latest: Some(listed.is_current),
                key: Some(version.key),
                last_modified: Some(timestamp(version.written)),
                version_id: Some(version.id),
                ..Default::default()
            });
        } else {
            versions.push(ObjectVersion {
                e_tag: etag(&version),
                is_latest: Some(listed.is_current),
                last_modified: Some(timestamp(version.written)),
                size: size(&version),
                storage_class: Some(version.class.into()),
                key: Some(version.key),
                version_id: Some(version.id),
                ..Default::default()
            });
        }
    }
    Ok(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: input.prefix,
        delimiter: input.delimiter,
        key_marker: input.key_marker,
        version_id_marker: input.version_id_marker,
        max_keys: Some(max_keys),
        versions: (!versions.is_empty()).then_some(versions),
        delete_markers: (!markers.is_empty()).then_some(markers),
        common_prefixes: prefixes(page.prefixes),
        is_truncated: Some(page.is_truncated),
        next_key_marker: next_key,
        next_version_id_marker: next_id,
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_where_to_go_on() {
        for skip in [None, Some("m/a/".to_owned())] {
            let there = Begin {
                key: skip.clone().unwrap_or("m/ä.mka".to_owned()),
                is_included: false,
                skip,
            };
            assert_eq!(begin(&token(&there)), Some(there));
        }
        assert_eq!(begin("m/a.mka"), None);
        assert_eq!(begin(&URL_SAFE_NO_PAD.encode("x")), None);
    }
}

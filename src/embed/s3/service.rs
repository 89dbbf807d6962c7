//! The calls of S3 that there are, by the file that answers them. Everything else is
//! `NotImplemented`.

use super::{
    answer::{Service, timestamp},
    history::Versioning,
    listing, multipart, object,
    refusal::Refusal,
    store::Store,
};
use async_trait::async_trait;
use s3s::{S3, S3Request, S3Response, S3Result, dto::*};

fn answer<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait]
impl S3 for Service {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        let bucket = req.input.bucket;
        let output = CreateBucketOutput {
            location: Some(format!("/{bucket}")),
        };
        self.blocking(move |store| store.make_bucket(&bucket))
            .await?;
        answer(output)
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        let bucket = req.input.bucket;
        self.blocking(move |store| store.bucket(&bucket)).await?;
        answer(HeadBucketOutput::default())
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> Answer<DeleteBucketOutput> {
        let bucket = req.input.bucket;
        self.blocking(move |store| store.remove_bucket(&bucket))
            .await?;
        answer(DeleteBucketOutput::default())
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> Answer<GetBucketLocationOutput> {
        let bucket = req.input.bucket;
        self.blocking(move |store| store.bucket(&bucket)).await?;
        answer(GetBucketLocationOutput::default())
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        let found = self.blocking(Store::list_buckets).await?;
        let buckets = found
            .into_iter()
            .map(|(name, bucket)| Bucket {
                name: Some(name),
                creation_date: Some(timestamp(bucket.made)),
                ..Default::default()
            })
            .collect();
        answer(ListBucketsOutput {
            buckets: Some(buckets),
            ..Default::default()
        })
    }

    async fn put_bucket_versioning(
        &self,
        req: S3Request<PutBucketVersioningInput>,
    ) -> Answer<PutBucketVersioningOutput> {
        let input = req.input;
        let status = input.versioning_configuration.status;
        let versioning = match status.as_ref().map(BucketVersioningStatus::as_str) {
            Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
            Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
            _ => return Err(Refusal::Invalid("versioning is Enabled or Suspended").into()),
        };
        self.blocking(move |store| store.set_versioning(&input.bucket, versioning))
            .await?;
        answer(PutBucketVersioningOutput::default())
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> Answer<GetBucketVersioningOutput> {
        let bucket = req.input.bucket;
        let found = self.blocking(move |store| store.bucket(&bucket)).await?;
        let status = match found.versioning {
            Versioning::Off => None,
            Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
            Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
        };
        answer(GetBucketVersioningOutput {
            status: status.map(BucketVersioningStatus::from_static),
            ..Default::default()
        })
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        answer(object::put(self, req).await?)
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        answer(object::get(self, req.input).await?)
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        answer(object::head(self, req.input).await?)
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        answer(object::copy(self, req.input).await?)
    }

    async fn restore_object(
        &self,
        req: S3Request<RestoreObjectInput>,
    ) -> Answer<RestoreObjectOutput> {
        object::restore(self, req.input).await
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        answer(object::delete(self, req.input).await?)
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> Answer<DeleteObjectsOutput> {
        answer(object::delete_many(self, req.input).await?)
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> Answer<ListObjectsV2Output> {
        answer(listing::objects(self, req.input).await?)
    }

    async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> Answer<ListObjectVersionsOutput> {
        answer(listing::versions(self, req.input).await?)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        answer(multipart::create(self, req.input).await?)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        answer(multipart::put(self, req).await?)
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> Answer<UploadPartCopyOutput> {
        answer(multipart::copy(self, req.input).await?)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        answer(multipart::complete(self, req.input).await?)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        let input = req.input;
        self.blocking(move |store| store.abort_upload(&input.bucket, &input.key, &input.upload_id))
            .await?;
        answer(AbortMultipartUploadOutput::default())
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        answer(multipart::list_parts(self, req.input).await?)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        answer(multipart::list(self, req.input).await?)
    }
}

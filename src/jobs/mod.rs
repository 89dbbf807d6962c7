//! Jobs behind the live meetings: the files of a meeting, and cleaning. [`crate::worker`] claims them.

pub mod clean;
pub mod mix;
mod track;
pub mod words;

use crate::{
    domain::fault::{Away, Fault},
    objects::ObjectError,
    store::StoreError,
};
use std::io;

/// Whose fault an error of the job is.
fn fault(error: &anyhow::Error) -> Fault {
    let of = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(error) = cause.downcast_ref::<ObjectError>() {
            return Some(error.fault());
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return Some(error.fault());
        }
        let error = cause.downcast_ref::<io::Error>()?;
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            || matches!(error.raw_os_error(), Some(23 | 24));
        full.then_some(Fault::Away(Away::Disk))
    };
    error.chain().find_map(of).unwrap_or(Fault::Ours)
}

//! What a request or a download that failed says to the user.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use hf_hub::api::sync::{Api, ApiError};

use crate::download::repo;
use crate::{HubError, HubId};

/// The status of a response that is an error.
pub(crate) fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match error.as_ref() {
            ureq::Error::StatusCode(status) => Some(*status),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an error is the answer of the hub to a request for the first byte of an empty file.
pub(crate) fn is_of_empty_file(error: &ApiError) -> bool {
    status(error) == Some(416) || matches!(error, ApiError::MissingHeader("Content-Range"))
}

/// The reason why a model's description could not be read: the model may be unknown, or only its revision.
pub(crate) fn explain_absence(api: &Api, id: &HubId, error: ApiError) -> HubError {
    if status(&error) != Some(404) {
        return explain(id, id.repo(), error);
    }
    if repo(api, id, "main").info().is_ok() {
        HubError::RevisionNotFound { repo: id.repo().to_owned(), revision: id.revision().to_owned() }
    } else {
        HubError::RepoNotFound { id: id.repo().to_owned() }
    }
}

pub(crate) fn explain(id: &HubId, what: &str, error: ApiError) -> HubError {
    match status(&error) {
        Some(status @ (401 | 403)) => HubError::NoAccess { id: id.to_string(), status },
        Some(status) => bad_answer(what, format!("status {status}")),
        None if is_of_network(&error) => {
            HubError::LostConnection { file: what.to_owned(), received: 0, reason: line(&error) }
        }
        None => bad_answer(what, line(&error)),
    }
}

fn is_of_network(error: &ApiError) -> bool {
    match error {
        ApiError::IoError(_) => true,
        ApiError::RequestError(error) => !matches!(error.as_ref(), ureq::Error::Json(_) | ureq::Error::BadUri(_)),
        _ => false,
    }
}

/// The error of a failed download, with the number of bytes kept.
pub(crate) fn lost(id: &HubId, file: &str, part: &Path, error: ApiError) -> HubError {
    match error {
        ApiError::LockAcquisition(_) => {
            let reason = io::Error::new(ErrorKind::WouldBlock, "another process is downloading it");
            HubError::Io { path: part.to_owned(), reason }
        }
        ApiError::IoError(reason) if is_of_disk(reason.kind()) => HubError::Io { path: part.to_owned(), reason },
        error if status(&error).is_some() => explain(id, file, error),
        error => {
            let received = fs::metadata(part).map_or(0, |part| part.len());
            HubError::LostConnection { file: file.to_owned(), received, reason: line(&error) }
        }
    }
}

fn is_of_disk(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(
        kind,
        StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem | PermissionDenied | NotFound | NotADirectory
    )
}

pub(crate) fn bad_answer(what: &str, reason: String) -> HubError {
    HubError::BadAnswer { what: what.to_owned(), reason }
}

/// An error's message on one line.
fn line(error: &ApiError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

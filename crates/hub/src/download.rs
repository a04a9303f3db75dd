//! Fetching what a model needs, so that the cache only ever holds complete files: [`Source`].
//!
//! hf-hub downloads into a separate staging cache, where it can resume partial files. Each file is checked against the
//! size and hash that the hub reports before it is moved into the real cache.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo, Metadata};
use hf_hub::{Cache, Repo, RepoType};
use sha2::{Digest, Sha256};

use crate::cache::{CONFIG, GENERATION_FILES, INDEX, Snapshot, TOKENIZER_FILES, WEIGHTS, lacks_by_adapter, shards};
use crate::failures::{bad_answer, explain, explain_absence, is_of_empty_file, lost, status};
use crate::{Download, HubError, HubId, Result};

/// The folder for unfinished downloads, in the cache.
const STAGING: &str = ".stratigraph-incomplete";

/// A server with the hub's API.
pub(crate) struct Source<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) token: Option<&'a str>,
}

impl Source<'_> {
    /// Downloads what the cache lacks of a model, and makes its revision known to the cache when all is there.
    pub(crate) fn fetch(&self, id: &HubId, cache: &Path, progress: impl FnMut(Download)) -> Result<Snapshot> {
        let api = self.api(id, &cache.join(STAGING))?;
        let info = repo(&api, id, id.revision()).info().map_err(|error| explain_absence(&api, id, error))?;
        if info.sha.is_empty() || !info.sha.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(bad_answer(id.repo(), format!("`{}` is not a commit", info.sha)));
        }
        let folder = cache.join(id.folder());
        // Each commit has a place of its own, so that another one that is downloaded at the same time or was begun before is left alone.
        let staging = cache.join(STAGING).join(&info.sha);
        let api = self.api(id, &staging)?;
        let mut fetch = Fetch {
            id,
            repo: repo(&api, id, &info.sha),
            api: &api,
            staging: staging.join(id.folder()),
            snapshot: Snapshot::at(&folder, &info.sha),
            folder,
            listed: info.siblings.into_iter().map(|file| file.rfilename).collect(),
            progress,
        };
        fetch.all()?;
        let _ = fs::remove_dir_all(&staging); // nothing in it is needed now
        let _ = fs::remove_dir(cache.join(STAGING));
        write_ref(&fetch.folder, id.revision(), &info.sha)?;
        Ok(fetch.snapshot)
    }

    /// The hub, with what it sends kept in a staging cache until it is complete.
    fn api(&self, id: &HubId, staging: &Path) -> Result<Api> {
        let builder = ApiBuilder::from_cache(Cache::new(staging.to_owned())).with_endpoint(self.endpoint.to_owned());
        let builder = builder.with_token(self.token.map(str::to_owned)).with_progress(false);
        builder.build().map_err(|error| explain(id, id.repo(), error))
    }
}

pub(crate) fn repo(api: &Api, id: &HubId, revision: &str) -> ApiRepo {
    api.repo(Repo::with_revision(id.repo().to_owned(), RepoType::Model, revision.to_owned()))
}

/// One model at one commit on its way into the cache.
struct Fetch<'a, P> {
    id: &'a HubId,
    api: &'a Api,
    repo: ApiRepo,
    /// The model's folder in the staging cache.
    staging: PathBuf,
    /// The model's folder in the cache.
    folder: PathBuf,
    snapshot: Snapshot,
    /// The files that the hub has.
    listed: Vec<String>,
    progress: P,
}

impl<P: FnMut(Download)> Fetch<'_, P> {
    fn all(&mut self) -> Result<()> {
        if let Some(missing) = lacks_by_adapter(|name| self.lists(name)) {
            return Err(self.missing(missing));
        }
        self.file(CONFIG)?;
        let older = if self.lists(TOKENIZER_FILES[0]) { 2 } else { TOKENIZER_FILES.len() };
        for name in TOKENIZER_FILES[..older].iter().chain(&GENERATION_FILES) {
            if self.lists(name) {
                self.file(name)?;
            }
        }
        if self.lists(WEIGHTS) {
            return self.file(WEIGHTS);
        }
        if !self.lists(INDEX) {
            return Err(self.missing(&format!("{WEIGHTS} and no {INDEX}; other formats are not read")));
        }
        self.file(INDEX)?;
        shards(&self.snapshot.path().join(INDEX))?.iter().try_for_each(|shard| self.file(shard))
    }

    fn lists(&self, name: &str) -> bool {
        self.listed.iter().any(|listed| listed == name)
    }

    fn missing(&self, what: &str) -> HubError {
        HubError::MissingFile { id: self.id.to_string(), missing: what.to_owned() }
    }

    /// Makes one file part of the snapshot, if it is not.
    fn file(&mut self, name: &str) -> Result<()> {
        if self.snapshot.path().join(name).is_file() {
            return Ok(());
        }
        if !self.lists(name) {
            return Err(self.missing(name));
        }
        let metadata = match self.api.metadata(&self.repo.url(name)) {
            Ok(metadata) => metadata,
            Err(error) if is_optional(name) && is_of_empty_file(&error) => return Ok(()), // it says nothing
            Err(error) => return Err(explain(self.id, name, error)),
        };
        let etag = strong_tag(&metadata);
        if etag.is_empty() || !etag.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            return Err(bad_answer(name, format!("its ETag `{etag}` is not valid")));
        }
        let blob = self.folder.join("blobs").join(etag);
        if fs::metadata(&blob).is_ok_and(|blob| blob.len() == metadata.size() as u64) {
            return link(&blob, &self.snapshot.path().join(name));
        }
        let staged = self.download(name, &metadata)?;
        make_parent(&blob)?;
        fs::rename(&staged, &blob).map_err(HubError::io(&blob))?;
        link(&blob, &self.snapshot.path().join(name))
    }

    /// Downloads one file into the staging cache, resuming a partial one, and checks that it is complete.
    fn download(&mut self, name: &str, metadata: &Metadata) -> Result<PathBuf> {
        let staged = self.staging.join("blobs").join(metadata.etag()); // where hf-hub puts it
        let (part, size) = (staged.with_extension("part"), metadata.size() as u64);
        match fs::metadata(&part) {
            // An attempt has ended between the last byte and the new name.
            Ok(whole) if whole.len() == size => fs::rename(&part, &staged).map_err(HubError::io(&staged))?,
            _ => self.receive(name, &part)?,
        }
        let received = fs::metadata(&staged).map_err(HubError::io(&staged))?.len();
        if received < size {
            fs::rename(&staged, &part).map_err(HubError::io(&part))?; // the next attempt resumes it
            let reason = format!("the file has {size} bytes");
            return Err(HubError::LostConnection { file: name.to_owned(), received, reason });
        }
        if received > size {
            return Err(discard(&staged, name, format!("it has {received} bytes and should have {size}")));
        }
        // The tag of a large file is its hash.
        let tag = strong_tag(metadata);
        if tag.len() == 64 && sha256(&staged).map_err(HubError::io(&staged))? != tag.to_lowercase() {
            return Err(discard(&staged, name, format!("its SHA-256 is not {tag}")));
        }
        Ok(staged)
    }

    /// Lets hf-hub download a file, from the end of `part` on.
    fn receive(&mut self, name: &str, part: &Path) -> Result<()> {
        // What hf-hub links to has been moved away, and it would not link again.
        let _ = fs::remove_dir_all(self.staging.join("snapshots"));
        let report = Report { file: name, received: 0, total: 0, hear: &mut self.progress };
        match self.repo.download_with_progress(name, report) {
            Ok(_) => Ok(()),
            Err(ApiError::InvalidResume) => Err(discard(part, name, "more arrived than the file has".into())),
            Err(error) if status(&error) == Some(416) => {
                Err(discard(part, name, "the hub has nothing after the bytes that were kept".into()))
            }
            Err(error) => Err(lost(self.id, name, part, error)),
        }
    }
}

/// Whether a model can be used without this file.
fn is_optional(name: &str) -> bool {
    TOKENIZER_FILES.contains(&name) || GENERATION_FILES.contains(&name)
}

/// A file's ETag; what is weak about one (`W/`) is left out, as in `huggingface_hub`.
fn strong_tag(metadata: &Metadata) -> &str {
    let etag = metadata.etag();
    etag.strip_prefix("W/").unwrap_or(etag)
}

/// Passes on hf-hub's progress.
struct Report<'a, P> {
    file: &'a str,
    received: u64,
    total: u64,
    hear: &'a mut P,
}

impl<P: FnMut(Download)> Progress for Report<'_, P> {
    fn init(&mut self, size: usize, _filename: &str) {
        (self.received, self.total) = (0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.received += size as u64;
        (self.hear)(Download { file: self.file, received: self.received, total: self.total });
    }

    fn finish(&mut self) {}
}

fn discard(path: &Path, file: &str, reason: String) -> HubError {
    let _ = fs::remove_file(path);
    HubError::Damaged { file: file.to_owned(), reason }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut hash)?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().expect("a path inside the cache");
    fs::create_dir_all(parent).map_err(HubError::io(parent))
}

/// Makes `pointer` a relative link to `blob`, which is two folders up in `blobs`.
fn link(blob: &Path, pointer: &Path) -> Result<()> {
    make_parent(pointer)?;
    let _ = fs::remove_file(pointer); // a link to what is gone
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(Path::new("../../blobs").join(blob.file_name().expect("a file")), pointer);
    #[cfg(not(unix))]
    let linked = fs::hard_link(blob, pointer);
    linked.map_err(HubError::io(pointer))
}

/// Records the commit of a revision, atomically.
fn write_ref(folder: &Path, revision: &str, commit: &str) -> Result<()> {
    if revision == commit {
        return Ok(());
    }
    let path = folder.join("refs").join(revision);
    make_parent(&path)?;
    let mut unfinished = path.clone().into_os_string();
    unfinished.push(format!(".{}.unfinished", std::process::id())); // another process may write its own
    let unfinished = PathBuf::from(unfinished);
    fs::write(&unfinished, commit).map_err(HubError::io(&unfinished))?;
    fs::rename(&unfinished, &path).map_err(HubError::io(&path))
}

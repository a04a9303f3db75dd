//! Where models come from: [`Hub`].

use std::path::{Path, PathBuf};

use crate::cache::{Found, Snapshot};
use crate::{HubError, HubId, Result};

/// The progress of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Download<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Its bytes that are on disk, with those of an earlier attempt.
    pub received: u64,
    /// All of its bytes.
    pub total: u64,
}

/// A cache on disk, and the server behind it.
#[derive(Debug, Clone)]
pub struct Hub {
    cache: PathBuf,
    endpoint: String,
    token: Option<String>,
    offline: bool,
}

impl Hub {
    const ENDPOINT: &str = "https://huggingface.co";

    /// From the environment: `HF_HUB_CACHE`, or else `hub` in `HF_HOME`, or else in `huggingface` in the user's cache
    /// (`XDG_CACHE_HOME`); `HF_TOKEN` or the older `HUGGING_FACE_HUB_TOKEN`, or else the file `HF_TOKEN_PATH`, or else `token` in
    /// `HF_HOME`; `HF_HUB_OFFLINE`; `HF_ENDPOINT`. Paths may begin with `~` and contain variables (`$NAME`, `${NAME}`).
    ///
    /// # Errors
    /// When no place for the cache can be found.
    pub fn from_env() -> Result<Self> {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Hub::from_env), with `var` in place of the environment.
    ///
    /// # Errors
    /// When no place for the cache can be found.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let path = |name: &str| var(name).map(|path| PathBuf::from(expanded(&path, var)));
        let user_cache = path("XDG_CACHE_HOME").or_else(|| path("HOME").map(|home| home.join(".cache")));
        let home = path("HF_HOME").or_else(|| user_cache.map(|cache| cache.join("huggingface")));
        let older_cache = path("HUGGINGFACE_HUB_CACHE");
        let cache = path("HF_HUB_CACHE").or(older_cache).or_else(|| home.as_ref().map(|home| home.join("hub")));
        let token_file = path("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token")));
        let stored_token = || std::fs::read_to_string(token_file?).ok();
        let token = var("HF_TOKEN").or_else(|| var("HUGGING_FACE_HUB_TOKEN")).or_else(stored_token);
        let token = token.map(|token| token.trim().to_owned());
        Ok(Self {
            cache: cache.ok_or(HubError::NoCache)?,
            endpoint: var("HF_ENDPOINT").map_or(Self::ENDPOINT.to_owned(), |url| url.trim_end_matches('/').to_owned()),
            token: token.filter(|token| !token.is_empty()),
            offline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().filter_map(var).any(|value| is_on(&value)),
        })
    }

    /// Where the cache is.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The model out of the cache; `None` when the cache lacks it or a part of it. Makes no request.
    pub fn cached(&self, id: &HubId) -> Option<Snapshot> {
        match Snapshot::find(&self.cache, id) {
            Found::Whole(snapshot) => Some(snapshot),
            Found::Lacking(_) => None,
        }
    }

    /// The model out of the cache, or else downloaded into it (feature `download`); `progress` is called during a
    /// download.
    ///
    /// Only what is needed is downloaded: `config.json`, the safetensors, the files of the tokenizer and of generation. A model in
    /// the cache that has no tokenizer gets that of the same commit, if the hub can be reached and has one.
    ///
    /// # Errors
    /// When the cache lacks it and it may not or cannot be downloaded. An incomplete file never becomes part of the
    /// cache; the bytes received are kept for the next attempt.
    pub fn get(&self, id: &HubId, progress: impl FnMut(Download)) -> Result<Snapshot> {
        let missing = match Snapshot::find(&self.cache, id) {
            Found::Whole(snapshot) if snapshot.has_tokenizer() || self.offline => return Ok(snapshot),
            // Another program may have fetched the model alone.
            Found::Whole(snapshot) => {
                let fetched = self.fetch(&id.at(snapshot.commit()), "tokenizer".to_owned(), progress);
                return Ok(fetched.unwrap_or(snapshot));
            }
            Found::Lacking(missing) => missing,
        };
        if self.offline {
            return Err(self.not_cached(id, missing, "HF_HUB_OFFLINE forbids to download it"));
        }
        self.fetch(id, missing, progress)
    }

    fn not_cached(&self, id: &HubId, missing: String, reason: &str) -> HubError {
        HubError::NotCached { id: id.to_string(), cache: self.cache.clone(), missing, reason: reason.to_owned() }
    }

    #[cfg(feature = "download")]
    fn fetch(&self, id: &HubId, _missing: String, progress: impl FnMut(Download)) -> Result<Snapshot> {
        let source = crate::download::Source { endpoint: &self.endpoint, token: self.token.as_deref() };
        source.fetch(id, &self.cache, progress)
    }

    #[cfg(not(feature = "download"))]
    fn fetch(&self, id: &HubId, missing: String, _progress: impl FnMut(Download)) -> Result<Snapshot> {
        let _ = (&self.endpoint, &self.token);
        Err(self.not_cached(id, missing, "this build cannot download; build it with `--features hub`"))
    }
}

/// Whether a variable is switched on, by the rules of `huggingface_hub`.
fn is_on(value: &str) -> bool {
    ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str())
}

/// A path with the user's directory in place of `~` at its beginning, and then the values of variables in place of their names;
/// variables that are not set stay.
fn expanded(path: &str, var: impl Fn(&str) -> Option<String>) -> String {
    let below_home = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = match (below_home, var("HOME")) {
        (Some(rest), Some(home)) => home + rest,
        _ => path.to_owned(),
    };
    let mut parts = path.split('$');
    let mut expanded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let name_end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        let braced = part.strip_prefix('{').and_then(|part| part.split_once('}'));
        let (name, rest) = braced.unwrap_or_else(|| part.split_at(name_end));
        match var(name) {
            Some(value) => expanded.extend([value.as_str(), rest]),
            None => expanded.extend(["$", part]),
        }
    }
    expanded
}

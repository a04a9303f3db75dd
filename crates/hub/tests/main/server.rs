//! A server that speaks as much of the hub's protocol as a download needs, with faults on request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use stratigraph_hub::Hub;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong with the next body of a file.
#[derive(Clone, Copy, PartialEq)]
pub enum Fault {
    /// The connection ends after so many bytes.
    DropAfter(usize),
    /// The answer says that it is whole after so many bytes.
    EndAfter(usize),
    /// One byte is another.
    Flip,
    /// The range that was asked for is not heeded.
    IgnoreRange,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// Status of every answer, in place of what was asked for.
    status: Option<u16>,
    has_weak_tags: bool,
    faults: BTreeMap<String, Fault>,
    requests: Vec<String>,
}

/// A running server; it ends with the test.
pub struct Server {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// With these files in the model `org/model`, at `main`, `v1` and the commit.
    pub fn start(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let files = files.iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec())).collect();
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        let (shared, base) = (state.clone(), url.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &shared, &base);
            }
        });
        Self { url, state }
    }

    pub fn answer_all_with(&self, status: u16) {
        self.state.lock().unwrap().status = Some(status);
    }

    /// From now on ETags of small files are weak ones.
    pub fn weaken_tags(&self) {
        self.state.lock().unwrap().has_weak_tags = true;
    }

    /// Lets the next body of `file` go wrong.
    pub fn fail(&self, file: &str, fault: Fault) {
        self.state.lock().unwrap().faults.insert(file.into(), fault);
    }

    /// Every request so far, as `PATH [bytes=..] [token]`, and forgets them.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// A hub with its cache in `cache` and this server behind it.
    pub fn hub(&self, cache: &std::path::Path, more: &[(&str, &str)]) -> Hub {
        let mut vars: BTreeMap<_, _> = more.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        vars.insert("HF_HUB_CACHE".into(), cache.display().to_string());
        vars.insert("HF_ENDPOINT".into(), self.url.clone());
        Hub::from_vars(|name| vars.get(name).cloned()).unwrap()
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn answer(mut stream: TcpStream, state: &Mutex<State>, base: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let path = lines.next().unwrap()?.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let header = |name: &str| {
        let found =
            headers.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.to_owned())
    };
    let (range, token) = (header("range"), header("authorization"));
    let mut state = state.lock().unwrap();
    state.requests.push([Some(path.clone()), range.clone(), token].into_iter().flatten().collect::<Vec<_>>().join(" "));
    if let Some(status) = state.status {
        return write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let not_found = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let known = |revision: &str| ["main", "v1", COMMIT].contains(&revision);
    if let Some(revision) = path.strip_prefix("/api/models/org/model/revision/").filter(|revision| known(revision)) {
        let _ = revision;
        let names: Vec<_> = state.files.keys().map(|name| format!("{{\"rfilename\":\"{name}\"}}")).collect();
        let body = format!("{{\"sha\":\"{COMMIT}\",\"siblings\":[{}]}}", names.join(","));
        return write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    }
    let resolved = path.strip_prefix("/org/model/resolve/").and_then(|rest| rest.split_once('/'));
    if let Some((_, file)) = resolved.filter(|(revision, _)| known(revision)) {
        let Some(bytes) = state.files.get(file).cloned() else { return stream.write_all(not_found.as_bytes()) };
        let tags = format!("X-Repo-Commit: {COMMIT}\r\n");
        if file.ends_with(".safetensors") {
            let linked = format!("X-Linked-Etag: \"{}\"\r\nX-Linked-Size: {}\r\n", sha256(&bytes), bytes.len());
            let location = format!("Location: {base}/large/{file}\r\n");
            return write!(
                stream,
                "HTTP/1.1 302 Found\r\n{tags}{linked}{location}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        let weak = if state.has_weak_tags { "W/" } else { "" };
        let tags = format!("{tags}ETag: {weak}\"{}\"\r\n", &sha256(&bytes)[..40]);
        return body(&mut stream, &mut state, file, &bytes, range.as_deref(), &tags);
    }
    match path.strip_prefix("/large/") {
        Some(file) => {
            let bytes = state.files[file].clone();
            body(&mut stream, &mut state, file, &bytes, range.as_deref(), "")
        }
        None => stream.write_all(not_found.as_bytes()),
    }
}

fn body(
    stream: &mut TcpStream,
    state: &mut State,
    file: &str,
    bytes: &[u8],
    range: Option<&str>,
    tags: &str,
) -> std::io::Result<()> {
    let (first, last) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')).unwrap_or(("0", ""));
    let first: usize = first.parse().unwrap();
    if first >= bytes.len() {
        let content = format!("Content-Range: bytes */{}\r\nContent-Length: 0\r\n", bytes.len());
        return write!(stream, "HTTP/1.1 416 Range Not Satisfiable\r\n{tags}{content}Connection: close\r\n\r\n");
    }
    let end = last.parse::<usize>().map_or(bytes.len(), |last| (last + 1).min(bytes.len()));
    let mut part = bytes[first..end].to_vec();
    // A look at the first byte is no body.
    let fault = if last.is_empty() { state.faults.remove(file) } else { None };
    let mut length = part.len();
    match fault {
        Some(Fault::DropAfter(n)) => part.truncate(n),
        Some(Fault::EndAfter(n)) => {
            part.truncate(n);
            length = n;
        }
        Some(Fault::Flip) => part[0] ^= 1,
        Some(Fault::IgnoreRange) => {
            part = bytes.to_vec();
            length = part.len();
        }
        None => {}
    }
    let content = format!("Content-Range: bytes {first}-{}/{}\r\nContent-Length: {length}\r\n", end - 1, bytes.len());
    write!(stream, "HTTP/1.1 206 Partial Content\r\n{tags}{content}Connection: close\r\n\r\n")?;
    stream.write_all(&part)
}

//! Downloads from a local server that speaks the hub's protocol, and everything that can go wrong on the way.

use std::fs;
use std::path::{Path, PathBuf};

use stratigraph_hub::HubError;

use crate::id;
use crate::server::{COMMIT, Fault, Server, sha256};

const INDEX: &[u8] = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;

/// A large file of a seed's own.
fn weights(seed: usize) -> Vec<u8> {
    (0..200_000).map(|i| (i * 31 + seed * 7 + i / 251) as u8).collect()
}

fn sharded() -> Server {
    Server::start(&[
        ("README.md", b"no"),
        ("config.json", b"{}"),
        ("model-1.safetensors", &weights(1)),
        ("model-2.safetensors", &weights(2)),
        ("model.safetensors.index.json", INDEX),
        ("pytorch_model.bin", b"no"),
        ("tokenizer.json", b"{\"t\": 1}"),
    ])
}

/// Every file in a snapshot that can be opened, with links followed.
fn snapshot_files(cache: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(cache.join("models--org--model/snapshots").join(COMMIT)) else { return Vec::new() };
    let mut names: Vec<_> = entries
        .flatten()
        .filter(|e| e.path().is_file())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Where files of the model are until they are complete.
fn parts(cache: &Path) -> PathBuf {
    let parts = cache.join(".stratigraph-incomplete").join(COMMIT).join("models--org--model/blobs");
    fs::create_dir_all(&parts).unwrap();
    parts
}

#[test]
fn a_model_is_fetched_whole_once_and_only_what_is_needed() {
    let (server, dir) = (sharded(), tempfile::tempdir().unwrap());
    let hub = server.hub(dir.path(), &[("HF_TOKEN", "secret")]);
    let mut last = std::collections::BTreeMap::new();
    let snapshot = hub
        .get(&id("org/model@v1"), |d| {
            last.insert(d.file.to_owned(), (d.received, d.total));
        })
        .unwrap();
    assert_eq!(fs::read(snapshot.path().join("model-2.safetensors")).unwrap(), weights(2));
    assert_eq!(last["model-1.safetensors"], (200_000, 200_000));
    let needed =
        ["config.json", "model-1.safetensors", "model-2.safetensors", "model.safetensors.index.json", "tokenizer.json"];
    assert_eq!(snapshot_files(dir.path()), needed);
    let requests = server.requests();
    assert!(requests.iter().all(|r| !r.contains("README") && !r.contains(".bin")), "{requests:?}");
    assert!(requests.iter().filter(|r| !r.starts_with("/large")).all(|r| r.ends_with("Bearer secret")), "{requests:?}");
    // As `huggingface_hub` lays it out.
    let model = dir.path().join("models--org--model");
    assert_eq!(fs::read_to_string(model.join("refs/v1")).unwrap(), COMMIT);
    let link = fs::read_link(snapshot.path().join("model-1.safetensors")).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(sha256(&weights(1))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    // The second time nobody is asked.
    assert_eq!(hub.get(&id("org/model@v1"), |_| {}).unwrap(), snapshot);
    assert_eq!(server.requests(), Vec::<String>::new());
}

#[test]
fn a_tokenizer_that_another_program_left_out_is_fetched() {
    let (server, dir) = (sharded(), tempfile::tempdir().unwrap());
    let hub = server.hub(dir.path(), &[]);
    let snapshot = hub.get(&id("org/model"), |_| {}).unwrap();
    let tokenizer = snapshot.path().join("tokenizer.json");
    fs::remove_file(&tokenizer).unwrap();
    assert_eq!(hub.get(&id("org/model"), |_| {}).unwrap(), snapshot);
    assert!(tokenizer.is_file());
    // Without one the model is what it was.
    fs::remove_file(&tokenizer).unwrap();
    server.answer_all_with(500);
    assert_eq!(hub.get(&id("org/model"), |_| {}).unwrap(), snapshot);
}

#[test]
fn what_another_commit_has_received_stays() {
    let (server, dir) = (sharded(), tempfile::tempdir().unwrap());
    let part = dir.path().join(".stratigraph-incomplete/another/models--org--model/blobs/a.part");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, "some bytes").unwrap();
    assert!(server.hub(dir.path(), &[]).get(&id("org/model"), |_| {}).is_ok());
    assert!(part.is_file());
}

#[test]
fn a_tokenizer_in_the_older_form_is_fetched_where_there_is_no_other() {
    let older: [(&str, &[u8]); 3] = [("merges.txt", b"a b"), ("tokenizer_config.json", b"{}"), ("vocab.json", b"{}")];
    let model: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("model.safetensors", b"x")];
    let fetched = |more: &[(&str, &[u8])]| {
        let (server, dir) = (Server::start(&[&model, more].concat()), tempfile::tempdir().unwrap());
        server.hub(dir.path(), &[]).get(&id("org/model"), |_| {}).unwrap();
        snapshot_files(dir.path())
    };
    assert_eq!(
        fetched(&older),
        ["config.json", "merges.txt", "model.safetensors", "tokenizer_config.json", "vocab.json"]
    );
    let both = [&older[..], &[("tokenizer.json", b"{}")]].concat();
    assert_eq!(fetched(&both), ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
}

#[test]
fn an_adapter_is_refused_by_name() {
    let files: [(&str, &[u8]); 2] = [("adapter_config.json", b"{}"), ("adapter_model.safetensors", b"x")];
    let (server, dir) = (Server::start(&files), tempfile::tempdir().unwrap());
    let message = server.hub(dir.path(), &[]).get(&id("org/model"), |_| {}).unwrap_err().to_string();
    assert!(message.contains("adapter_config.json") && message.contains("base model"), "{message}");
    let beside: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("model.safetensors", b"x")];
    let server = Server::start(&[files, beside].concat());
    let message = server.hub(dir.path(), &[]).get(&id("org/model"), |_| {}).unwrap_err().to_string();
    assert!(message.contains("adapter_config.json") && message.contains("transformers would add"), "{message}");
}

#[test]
fn a_file_that_is_optional_may_be_empty() {
    let files: [(&str, &[u8]); 6] = [
        ("added_tokens.json", b""),
        ("chat_template.json", b"{}"),
        ("config.json", b"{}"),
        ("model.safetensors", b"x"),
        ("special_tokens_map.json", b""),
        ("vocab.json", b"{}"),
    ];
    let (server, dir) = (Server::start(&files), tempfile::tempdir().unwrap());
    server.hub(dir.path(), &[]).get(&id("org/model"), |_| {}).unwrap();
    assert_eq!(snapshot_files(dir.path()), ["chat_template.json", "config.json", "model.safetensors", "vocab.json"]);
    let server = Server::start(&[("config.json", b""), ("model.safetensors", b"x")]);
    let error = server.hub(&dir.path().join("other"), &[]).get(&id("org/model"), |_| {}).unwrap_err();
    assert!(error.to_string().contains("config.json"), "{error}");
}

#[test]
fn a_weak_tag_names_a_file_as_a_strong_one_does() {
    let (server, dir) = (sharded(), tempfile::tempdir().unwrap());
    server.weaken_tags();
    let snapshot = server.hub(dir.path(), &[]).get(&id("org/model"), |_| {}).unwrap();
    let link = fs::read_link(snapshot.path().join("config.json")).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(&sha256(b"{}")[..40]));
}

#[test]
fn the_older_name_of_the_token_is_read() {
    let (server, dir) = (sharded(), tempfile::tempdir().unwrap());
    let hub = server.hub(dir.path(), &[("HUGGING_FACE_HUB_TOKEN", "older")]);
    hub.get(&id("org/model"), |_| {}).unwrap();
    assert!(server.requests()[0].ends_with("Bearer older"));
}

/// As after an attempt that ended just before the file got its name.
#[test]
fn a_file_that_has_arrived_whole_is_checked_and_not_asked_for() {
    let (server, dir) = (sharded(), tempfile::tempdir().unwrap());
    fs::write(parts(dir.path()).join(format!("{}.part", sha256(&weights(2)))), weights(2)).unwrap();
    let snapshot = server.hub(dir.path(), &[]).get(&id("org/model"), |_| {}).unwrap();
    assert_eq!(fs::read(snapshot.path().join("model-2.safetensors")).unwrap(), weights(2));
    assert!(!server.requests().iter().any(|request| request.contains("bytes=200000-")));
}

#[test]
fn a_lost_connection_keeps_what_came_and_goes_on_from_there() {
    for fault in [Fault::DropAfter(70_000), Fault::EndAfter(70_000)] {
        let (server, dir) = (sharded(), tempfile::tempdir().unwrap());
        let hub = server.hub(dir.path(), &[]);
        server.fail("model-2.safetensors", fault);
        let error = hub.get(&id("org/model"), |_| {}).unwrap_err();
        let HubError::LostConnection { file, received, .. } = &error else { panic!("{error}") };
        assert_eq!((file.as_str(), *received), ("model-2.safetensors", 70_000));
        assert!(!error.to_string().contains('\n'), "{error}");
        assert_eq!(hub.cached(&id("org/model")), None);
        assert!(!snapshot_files(dir.path()).contains(&"model-2.safetensors".to_owned()));
        server.requests();
        let snapshot = hub.get(&id("org/model"), |_| {}).unwrap();
        assert_eq!(fs::read(snapshot.path().join("model-2.safetensors")).unwrap(), weights(2));
        let requests = server.requests();
        assert!(requests.iter().any(|r| r == "/large/model-2.safetensors bytes=70000-"), "{requests:?}");
        assert!(!requests.iter().any(|r| r.contains("model-1")), "what is there is not fetched again: {requests:?}");
    }
}

#[test]
fn a_file_that_is_not_what_the_hub_says_is_thrown_away() {
    let (server, dir) = (sharded(), tempfile::tempdir().unwrap());
    let hub = server.hub(dir.path(), &[]);
    server.fail("model-1.safetensors", Fault::Flip);
    let error = hub.get(&id("org/model"), |_| {}).unwrap_err();
    assert!(matches!(&error, HubError::Damaged { file, .. } if file == "model-1.safetensors"), "{error}");
    assert_eq!(snapshot_files(dir.path()).len(), 3);
    // A server that starts from the beginning when it is asked to resume.
    server.fail("model-1.safetensors", Fault::DropAfter(1000));
    assert!(matches!(hub.get(&id("org/model"), |_| {}), Err(HubError::LostConnection { received: 1000, .. })));
    server.fail("model-1.safetensors", Fault::IgnoreRange);
    assert!(matches!(hub.get(&id("org/model"), |_| {}), Err(HubError::Damaged { .. })));
    let snapshot = hub.get(&id("org/model"), |_| {}).unwrap();
    assert_eq!(fs::read(snapshot.path().join("model-1.safetensors")).unwrap(), weights(1));
}

#[test]
fn models_that_are_gated_or_absent_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    for status in [401, 403] {
        let server = sharded();
        server.answer_all_with(status);
        let message = server.hub(dir.path(), &[]).get(&id("org/model"), |_| {}).unwrap_err().to_string();
        assert!(
            message.contains("org/model") && message.contains("HF_TOKEN") && message.contains("terms"),
            "{message}"
        );
    }
    let server = sharded();
    let error = |text: &str| server.hub(dir.path(), &[]).get(&id(text), |_| {}).unwrap_err().to_string();
    assert_eq!(error("org/model@v9"), "org/model has no revision `v9`");
    assert_eq!(error("org/other"), "the hub has no model org/other");
    server.answer_all_with(500);
    assert!(error("org/model").contains("500"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn models_without_the_files_that_are_needed() {
    let error = |files: &[(&str, &[u8])]| {
        let (server, dir) = (Server::start(files), tempfile::tempdir().unwrap());
        server.hub(dir.path(), &[]).get(&id("org/model"), |_| {}).unwrap_err().to_string()
    };
    assert!(error(&[("model.gguf", b"x")]).contains("org/model cannot be used: it has no config.json"));
    let only_old = error(&[("config.json", b"{}"), ("pytorch_model.bin", b"x")]);
    assert!(only_old.contains("no model.safetensors and no model.safetensors.index.json"), "{only_old}");
    let shard = error(&[("config.json", b"{}"), ("model.safetensors.index.json", INDEX)]);
    assert!(shard.contains("no model-1.safetensors"), "{shard}");
    let elsewhere = br#"{"weight_map": {"a": "../../../x.safetensors"}}"#;
    let message = error(&[("config.json", b"{}"), ("model.safetensors.index.json", elsewhere)]);
    assert!(message.contains("`../../../x.safetensors` is not the name"), "{message}");
}

#[test]
fn offline_asks_nobody_and_nobody_there_is_a_lost_connection() {
    let (server, dir) = (sharded(), tempfile::tempdir().unwrap());
    let error = server.hub(dir.path(), &[("HF_HUB_OFFLINE", "1")]).get(&id("org/model"), |_| {}).unwrap_err();
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");
    assert_eq!(server.requests(), Vec::<String>::new());
    let nobody = server.hub(dir.path(), &[]);
    let vars = [("HF_HUB_CACHE", dir.path().display().to_string()), ("HF_ENDPOINT", "http://127.0.0.1:1".into())];
    let nobody_there = stratigraph_hub::Hub::from_vars(|name| {
        vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    });
    let error = nobody_there.unwrap().get(&id("org/model"), |_| {}).unwrap_err();
    assert!(matches!(error, HubError::LostConnection { .. }), "{error}");
    assert!(nobody.get(&id("org/model"), |_| {}).is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_error_and_no_half_file() {
    let (server, dir) = (sharded(), tempfile::tempdir().unwrap());
    let hub = server.hub(dir.path(), &[]);
    // The part of one file lies on a device that is always full.
    let part = parts(dir.path()).join(format!("{}.part", sha256(&weights(2))));
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = hub.get(&id("org/model"), |_| {}).unwrap_err();
    assert!(matches!(&error, HubError::Io { path, .. } if *path == part), "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(hub.cached(&id("org/model")), None);
    fs::remove_file(part).unwrap();
    assert!(hub.get(&id("org/model"), |_| {}).is_ok());
}

//! The cache as `huggingface_hub` lays it out, whole and in part; no server.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use stratigraph_hub::{Hub, HubError};
use tempfile::TempDir;

use crate::id;

const COMMIT: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";

/// A cache that holds these files of `org/model`, laid out as `huggingface_hub` does it.
fn cache(files: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("models--org--model");
    let snapshot = model.join("snapshots").join(COMMIT);
    for folder in [&snapshot, &model.join("blobs"), &model.join("refs")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(model.join("refs/main"), COMMIT).unwrap();
    for (index, (name, content)) in files.iter().enumerate() {
        fs::write(model.join(format!("blobs/{index}")), content).unwrap();
        symlink(format!("../../blobs/{index}"), snapshot.join(name)).unwrap();
    }
    (dir, snapshot)
}

const SHARDED: [(&str, &str); 4] = [
    ("config.json", "{}"),
    ("model.safetensors.index.json", r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#),
    ("model-1.safetensors", "1"),
    ("model-2.safetensors", "2"),
];

fn hub(cache: &Path, more: &[(&str, &str)]) -> Hub {
    let cache = cache.display().to_string();
    Hub::from_vars(|name| {
        let more = more.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        more.or_else(|| (name == "HF_HUB_CACHE").then(|| cache.clone()))
    })
    .unwrap()
}

#[test]
fn a_whole_model_is_found_by_branch_and_by_commit() {
    for files in [&[("config.json", "{}"), ("model.safetensors", "x")][..], &SHARDED] {
        let (dir, snapshot) = cache(files);
        let hub = hub(dir.path(), &[("HF_HUB_OFFLINE", "1")]);
        let found = hub.get(&id("org/model"), |_| {}).unwrap();
        assert_eq!((found.path(), found.commit()), (snapshot.as_path(), COMMIT));
        assert_eq!(hub.cached(&id(&format!("org/model@{COMMIT}"))), Some(found));
        fs::write(dir.path().join("models--org--model/refs/main"), format!("{COMMIT}\n")).unwrap();
        assert!(hub.cached(&id("org/model")).is_some());
    }
}

#[test]
fn a_model_in_part_is_not_found_and_what_it_lacks_is_named() {
    let lacks = |hub: &Hub, what: &str| {
        assert_eq!(hub.cached(&id("org/model")), None);
        let message = hub.get(&id("org/model"), |_| {}).unwrap_err().to_string();
        assert!(message.contains(what) && message.contains("HF_HUB_OFFLINE") && !message.contains('\n'), "{message}");
    };
    let offline = [("HF_HUB_OFFLINE", "true")];
    for (name, _) in SHARDED {
        let files: Vec<_> = SHARDED.into_iter().filter(|(other, _)| *other != name).collect();
        let (dir, _) = cache(&files);
        lacks(&hub(dir.path(), &offline), name);
    }
    let (dir, _) = cache(&SHARDED);
    fs::remove_file(dir.path().join("models--org--model/blobs/3")).unwrap(); // a link to nothing
    lacks(&hub(dir.path(), &offline), "model-2.safetensors");
    fs::write(dir.path().join("models--org--model/refs/main"), "").unwrap();
    lacks(&hub(dir.path(), &offline), "no revision `main`");
    fs::write(dir.path().join("models--org--model/refs/main"), "../../..").unwrap();
    lacks(&hub(dir.path(), &offline), "no revision `main`");
    lacks(&hub(&dir.path().join("elsewhere"), &offline), "nothing of this model");
}

#[test]
fn a_model_with_a_name_alone_is_found() {
    let (dir, _) = cache(&[("config.json", "{}"), ("model.safetensors", "x")]);
    fs::rename(dir.path().join("models--org--model"), dir.path().join("models--gpt2")).unwrap();
    let found = hub(dir.path(), &[("HF_HUB_OFFLINE", "1")]).get(&id("gpt2"), |_| {}).unwrap();
    assert_eq!(found.path(), dir.path().join("models--gpt2/snapshots").join(COMMIT));
}

#[test]
fn an_adapter_is_named_as_one() {
    for files in [
        &[("adapter_config.json", "{}"), ("adapter_model.safetensors", "x")][..],
        &[("config.json", "{}"), ("adapter_config.json", "{}")],
    ] {
        let (dir, _) = cache(files);
        let message =
            hub(dir.path(), &[("HF_HUB_OFFLINE", "1")]).get(&id("org/model"), |_| {}).unwrap_err().to_string();
        assert!(message.contains("adapter_config.json") && message.contains("base model"), "{message}");
    }
}

#[test]
fn a_model_with_an_adapter_beside_it_is_not_taken_for_one_without() {
    let files = [("config.json", "{}"), ("model.safetensors", "x"), ("adapter_config.json", "{}")];
    let found = |files: &[(&str, &str)]| {
        let (dir, _) = cache(files);
        hub(dir.path(), &[("HF_HUB_OFFLINE", "1")]).get(&id("org/model"), |_| {}).map(|_| ())
    };
    assert!(found(&files).is_ok(), "only a configuration is left over");
    for weights in ["adapter_model.safetensors", "adapter_model.bin"] {
        let message = found(&[&files[..], &[(weights, "x")]].concat()).unwrap_err().to_string();
        assert!(message.contains("adapter_config.json") && message.contains("merge"), "{message}");
    }
}

#[test]
fn an_index_that_leads_elsewhere_is_not_followed() {
    for name in ["../model-1.safetensors", "/etc/passwd", "a/b.safetensors", "model.bin", ""] {
        let index = format!("{{\"weight_map\": {{\"a\": \"{name}\"}}}}");
        let (dir, _) = cache(&[("config.json", "{}"), ("model.safetensors.index.json", &index)]);
        assert_eq!(hub(dir.path(), &[]).cached(&id("org/model")), None, "{name}");
    }
}

#[test]
fn the_environment_says_where_the_cache_is() {
    let at = |vars: &[(&str, &str)]| {
        let hub = Hub::from_vars(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()));
        hub.map(|hub| hub.cache().display().to_string())
    };
    let home = ("HOME", "/h");
    assert_eq!(at(&[home]).unwrap(), "/h/.cache/huggingface/hub");
    assert_eq!(at(&[home, ("XDG_CACHE_HOME", "/x")]).unwrap(), "/x/huggingface/hub");
    assert_eq!(at(&[home, ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/f")]).unwrap(), "/f/hub");
    assert_eq!(at(&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")]).unwrap(), "/c");
    assert_eq!(at(&[home, ("HF_HOME", "")]).unwrap(), "/h/.cache/huggingface/hub");
    assert_eq!(at(&[home, ("HF_HOME", "~/hf")]).unwrap(), "/h/hf/hub");
    assert_eq!(at(&[("D", "/d"), ("HF_HUB_CACHE", "$D/${D}x/$NO/~")]).unwrap(), "/d//dx/$NO/~");
    assert!(matches!(at(&[]), Err(HubError::NoCache)));
}

#[cfg(not(feature = "download"))]
#[test]
fn a_build_that_cannot_download_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let message = hub(dir.path(), &[]).get(&id("org/model"), |_| {}).unwrap_err().to_string();
    assert!(message.contains("org/model") && message.contains("--features hub"), "{message}");
}

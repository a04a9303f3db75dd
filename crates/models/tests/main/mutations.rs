//! Damaged configurations and headers of every kind: an error each time, never a panic, a hang, or memory that no file
//! of that size could need.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use stratigraph_models::{Checkpoint, ModelError, Tokenizer};
use stratigraph_testing::{FAMILIES, GGUFS, device, fixture};
use tempfile::TempDir;

/// Remembers the largest allocation that each thread has asked for.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn remember(size: usize) {
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call goes to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        remember(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        remember(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Far more than any file here needs at once (they have up to 130 kB), and far less than a header that lies asks for.
/// Most of it is for the backtrace that an error of the GGUF reader takes along, which reads the program's own tables.
const MOST_BYTES: usize = 16 << 20;

/// Opens and loads whatever lies at `path`; an error has one line, and nothing asks for much memory.
fn try_everything(path: &Path) -> Result<(), ModelError> {
    LARGEST.set(0);
    let result = Checkpoint::open(path).and_then(|checkpoint| {
        let _ = checkpoint.tokenizer();
        checkpoint.load(&device()).map(|_| ())
    });
    let largest = LARGEST.get();
    assert!(largest < MOST_BYTES, "{largest} bytes at once for {}: {result:?}", path.display());
    if let Err(error) = &result {
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }
    result
}

/// A directory with links to the files of a fixture, but for `changed`, which has this content.
fn with_changed(name: &str, changed: &str, content: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap();
        if file != changed {
            fs::hard_link(&path, dir.path().join(file))
                .or_else(|_| fs::copy(&path, dir.path().join(file)).map(drop))
                .unwrap();
        }
    }
    fs::write(dir.path().join(changed), content).unwrap();
    dir
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..70).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(vec![0.0, -1.0, 0.3, 1e-300, 1e300, 2147483647.0, 2147483648.0]).prop_map(Value::from),
        prop::sample::select(vec!["gelu", "silu", "llama3", "full_attention", "float16", "x"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        let keys = prop::sample::select(vec!["rope_type", "factor", "rope_theta", "full_attention", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// One change of bytes inside the first `within`.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Write(usize, Vec<u8>),
    Cut(usize),
    Double(usize, usize),
}

fn any_change() -> impl Strategy<Value = Change> {
    let at = 0usize..1_000_000;
    let number =
        prop_oneof![Just(u64::MAX), Just(1 << 63), Just(1 << 40), Just(u64::from(u32::MAX)), any::<u64>(), 0u64..100,];
    prop_oneof![
        4 => (at.clone(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        3 => (at.clone(), number).prop_map(|(at, n)| Change::Write(at, n.to_le_bytes().to_vec())),
        2 => (at.clone(), "[0-9]{1,20}").prop_map(|(at, digits)| Change::Write(at, digits.into_bytes())),
        1 => at.clone().prop_map(Change::Cut),
        1 => (at, 1usize..200).prop_map(|(at, n)| Change::Double(at, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, within: usize, change: &Change) {
    let within = within.min(bytes.len()).max(1);
    match change {
        Change::Flip(at, bit) => bytes[at % within] ^= 1 << bit,
        Change::Write(at, new) => {
            let at = at % within;
            let end = (at + new.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&new[..end - at]);
        }
        Change::Cut(at) => bytes.truncate(at % within),
        Change::Double(at, n) => {
            let at = at % within;
            let part = bytes[at..(at + n).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
    }
}

/// Where the header of a safetensors file ends.
fn header_end(bytes: &[u8]) -> usize {
    8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn configurations(
        name in prop::sample::select(&FAMILIES[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_value()), 1..4),
    ) {
        let mut config: Value = serde_json::from_slice(&fs::read(fixture(name).join("config.json")).unwrap()).unwrap();
        let object = config.as_object_mut().unwrap();
        let mut keys: Vec<_> = object.keys().cloned().collect();
        keys.extend(["rope_scaling", "rope_parameters", "layer_types", "sliding_window", "head_dim"].map(str::to_owned));
        for (key, value) in changes {
            object.insert(key.get(&keys).clone(), value);
        }
        let dir = with_changed(name, "config.json", config.to_string().as_bytes());
        let _ = try_everything(dir.path());
    }

    #[test]
    fn safetensors_headers(
        name in prop::sample::select(&FAMILIES[..]),
        changes in prop::collection::vec(any_change(), 1..3),
    ) {
        let file = if name == "qwen2" { "model-00002-of-00008.safetensors" } else { "model.safetensors" };
        let mut bytes = fs::read(fixture(name).join(file)).unwrap();
        let end = header_end(&bytes);
        changes.iter().for_each(|change| apply(&mut bytes, end, change));
        let _ = try_everything(with_changed(name, file, &bytes).path());
    }

    #[test]
    fn indices_of_shards(changes in prop::collection::vec(any_change(), 1..3)) {
        let file = "model.safetensors.index.json";
        let mut bytes = fs::read(fixture("qwen2").join(file)).unwrap();
        changes.iter().for_each(|change| apply(&mut bytes, usize::MAX, change));
        let _ = try_everything(with_changed("qwen2", file, &bytes).path());
    }

    #[test]
    fn gguf_headers(name in prop::sample::select(&GGUFS[..]), changes in prop::collection::vec(any_change(), 1..3)) {
        let mut bytes = fs::read(fixture(name).join("model.gguf")).unwrap();
        changes.iter().for_each(|change| apply(&mut bytes, 8_000, change));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.gguf");
        fs::write(&file, bytes).unwrap();
        let _ = try_everything(&file);
    }

    #[test]
    fn gguf_vocabularies(
        kind in prop::sample::select(vec!["qwen2", "gemma-spm"]),
        changes in prop::collection::vec(any_change(), 1..3),
    ) {
        let mut bytes = fs::read(fixture(&format!("tokenizers/{kind}/tokenizer.gguf"))).unwrap();
        changes.iter().for_each(|change| apply(&mut bytes, usize::MAX, change));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokenizer.gguf");
        fs::write(&file, bytes).unwrap();
        LARGEST.set(0);
        let tokenizer = Tokenizer::from_file(&file);
        prop_assert!(LARGEST.get() < MOST_BYTES, "{} bytes at once", LARGEST.get());
        if let Ok(tokenizer) = tokenizer {
            let _ = tokenizer.encode("a text\nof 12 layers").map(|ids| tokenizer.decode(&ids));
        }
    }
}

#[test]
fn what_is_whole_is_read() {
    for name in FAMILIES {
        try_everything(&fixture(name)).unwrap();
    }
    for name in GGUFS {
        try_everything(&fixture(&format!("{name}/model.gguf"))).unwrap();
    }
}

#[test]
fn shards_that_are_not_what_the_index_says() {
    let says = |file: &str, content: &[u8], parts: &[&str]| {
        let dir = with_changed("qwen2", file, content);
        let message = try_everything(dir.path()).expect_err("this must be refused").to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    let index: Value =
        serde_json::from_slice(&fs::read(fixture("qwen2/model.safetensors.index.json")).unwrap()).unwrap();
    let (tensor, shard) = index["weight_map"].as_object().unwrap().iter().next().unwrap();
    let with = |tensor: &str, file: &str| {
        let mut index = index.clone();
        index["weight_map"][tensor] = json!(file);
        index.to_string().into_bytes()
    };
    let file = "model.safetensors.index.json";
    says(file, &with(tensor, "../elsewhere.safetensors"), &["index.json", "`../elsewhere.safetensors`"]);
    says(file, &with(tensor, "absent.safetensors"), &["absent.safetensors", "cannot read"]);
    says(file, &with("more.weight", shard.as_str().unwrap()), &["`more.weight` is not in"]);
    says(file, br#"{"weight_map": {}}"#, &["names no file"]);
    says(file, b"{}", &["index.json", "weight_map"]);
    let other: PathBuf = fixture("qwen2/model-00001-of-00008.safetensors");
    says("model-00002-of-00008.safetensors", &fs::read(other).unwrap(), &["model-00001", "model-00002"]);
    says("model-00002-of-00008.safetensors", &[], &["model-00002-of-00008.safetensors", "is empty"]);
}

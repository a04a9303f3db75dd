//! A family of a crate outside the workspace loads with the numbers of the family that it renames.

use std::fs;
use std::path::Path;

use outside::my_llama;
use stratigraph::prelude::*;

/// The same checkpoint with the keys and the name of another family.
fn renamed(from: &Path, to: &Path) {
    let config = r#"{"model_type": "my_llama", "depth": 3, "width": 24, "heads": 4, "kv_heads": 2, "width_of_heads": 10,
        "tokens": 300, "neurons": 32, "longest": 128, "eps": 1e-05, "base": 10000.0}"#;
    fs::write(to.join("config.json"), config).unwrap();
    let bytes = fs::read(from.join("model.safetensors")).unwrap();
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header = String::from_utf8(header.to_vec()).unwrap().replace("post_attention_layernorm", "norm_of_mlp");
    let length = (header.len() as u64).to_le_bytes();
    fs::write(to.join("model.safetensors"), [&length, header.as_bytes(), data].concat()).unwrap();
}

#[test]
fn a_family_of_another_crate_is_read() {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/llama-gqa");
    let dir = tempfile::tempdir().unwrap();
    renamed(&original, dir.path());
    let unknown = Checkpoint::open(dir.path()).map(|_| ()).unwrap_err();
    assert!(unknown.to_string().contains("my_llama"), "{unknown}");
    let ours = Checkpoint::open_with_families(dir.path(), &[my_llama()]).unwrap();
    assert_eq!(ours.config(), Checkpoint::open(&original).unwrap().config());
    let device = Backend::Flex.device().unwrap();
    let logits = |checkpoint: Checkpoint| {
        let model = checkpoint.load(&device).unwrap();
        let ids = Tensor::<2, Int>::from_data([[1, 5, 9, 250]], &device);
        model.logits(model.forward(ids, &mut NoTap).unwrap()).unwrap().into_data()
    };
    logits(ours).assert_eq(&logits(Checkpoint::open(&original).unwrap()), true);
}

//! The list of devices, and the check of a device before it is used.

use serde_json::Value;

use crate::common::{run, succeeds, text};

#[test]
fn every_device_of_this_machine_is_listed_and_agrees_with_flex() {
    let listed: Value = serde_json::from_str(&succeeds(["devices", "--json"])).unwrap();
    let devices = listed["devices"].as_array().unwrap();
    let names: Vec<_> = devices.iter().map(|row| row["device"].as_str().unwrap()).collect();
    assert_eq!(names[0], "flex");
    for row in devices {
        assert!(row["fault"].is_null(), "{row}");
        assert!(row["product_gflops"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["precisions"].as_array().unwrap().contains(&"f32".into()), "{row}");
        let check = &row["self_check"];
        assert_eq!(check.is_null(), row["device"] == "flex", "{row}");
        assert!(check.is_null() || check["block"].as_f64().unwrap() < 1e-4, "{row}");
        let is_adapter = row["device"].as_str().unwrap().starts_with("wgpu:");
        assert_eq!(is_adapter, row["kind"] != "processor", "{row}");
        assert!(!is_adapter || row["largest_buffer"].as_u64().unwrap() >= 128 << 20, "{row}");
    }
    // An adapter is listed, or it is said that there is none.
    let has_adapter = names.iter().any(|name| name.starts_with("wgpu:"));
    let absent = listed["absent"].as_array().unwrap();
    assert_eq!(has_adapter, absent.is_empty(), "{listed}");
    assert!(has_adapter || absent[0]["device"] == "wgpu", "{listed}");
}

#[test]
fn a_device_that_is_not_there_is_said_to_be_absent() {
    let told = succeeds(["devices", "--device", "flex", "--device", "wgpu:99", "--device", "cuda"]);
    assert!(told.starts_with("flex: "), "{told}");
    assert!(told.contains("what others are checked against") && told.contains(" GFLOP/s"), "{told}");
    assert!(told.contains("\nwgpu:99: ") && told.contains("\ncuda: "), "{told}");
}

#[cfg(feature = "wgpu")]
#[test]
fn a_machine_without_an_adapter_says_so() {
    use crate::common::program;

    // The loaders of Vulkan and of OpenGL find no driver.
    let mut program = program();
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
        program.env(variable, "/dev/null");
    }
    let output = program.arg("devices").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(told.contains("wgpu: this machine has no graphics adapter"), "{told}");
}

#[test]
fn a_study_on_ndarray_is_checked_before() {
    let tiny =
        ["study", "--model", "tests/fixtures/llama-gqa", "--sequences", "1", "--seq-len", "8", "--experiments", "lens"];
    for more in [&["--device", "ndarray"][..], &["--device", "ndarray", "--no-device-check"]] {
        let output = run([&tiny[..], more].concat());
        assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    }
}

//! Writes mergekit's YAML.

use std::fmt;

use serde::Serialize;

use super::{Mergekit, Slice};

#[derive(Serialize)]
struct Yaml<'a> {
    merge_method: &'static str,
    #[serde(flatten)]
    layers: Layers<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Layers<'a> {
    Slices(Vec<YamlSlice<'a>>),
    Models([YamlSource<'a>; 1]),
}

#[derive(Serialize)]
struct YamlSlice<'a> {
    sources: [YamlSource<'a>; 1],
}

#[derive(Serialize)]
struct YamlSource<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_range: Option<[usize; 2]>,
}

impl fmt::Display for Mergekit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = |layer_range| [YamlSource { model: self.model(), layer_range }];
        let slice = |slice: &Slice| YamlSlice { sources: source(Some([slice.start, slice.end])) };
        let layers = match &self.slices {
            Some(slices) => Layers::Slices(slices.iter().map(slice).collect()),
            None => Layers::Models(source(None)),
        };
        let yaml = Yaml { merge_method: "passthrough", layers, dtype: self.dtype() };
        f.write_str(&serde_yaml_ng::to_string(&yaml).map_err(|_| fmt::Error)?)
    }
}

//! Documents in Parquet files, written here.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use stratigraph_corpus::{BosMode, Corpus, CorpusError, DocumentFormat, Draw, Windows};

use crate::support::Bytes;

/// The texts of a group of rows, of which some may be missing.
type Group = Vec<Option<Vec<u8>>>;

fn group<'a>(texts: impl IntoIterator<Item = &'a str>) -> Group {
    texts.into_iter().map(|text| Some(text.as_bytes().to_vec())).collect()
}

/// Writes groups of rows, each row with its number in the file and its text.
fn write(path: &Path, column: &str, groups: &[Group]) {
    write_as(path, column, groups, Compression::SNAPPY);
}

fn write_as(path: &Path, column: &str, groups: &[Group], compression: Compression) {
    let schema = format!("message table {{ required int64 id; optional binary {column} (string); }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut file = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, properties).unwrap();
    let mut ids = 0..;
    for rows in groups {
        let mut group = file.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let ids: Vec<i64> = ids.by_ref().take(rows.len()).collect();
        column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let texts: Vec<ByteArray> = rows.iter().flatten().map(|text| ByteArray::from(text.clone())).collect();
        let levels: Vec<i16> = rows.iter().map(|text| i16::from(text.is_some())).collect();
        column.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    file.close().unwrap();
}

fn first(count: usize) -> Windows {
    Windows::of(4).count(count).first().bos(BosMode::Never)
}

fn text(ids: &[u32]) -> String {
    String::from_utf8(ids.iter().map(|&id| id as u8).collect()).unwrap()
}

/// The texts of a hundred rows, more than are decoded at once.
fn hundred() -> Vec<String> {
    (0..100).map(|row| format!("{row:04}")).collect()
}

/// Three groups, with a null, an empty text and one that is too short for a window.
fn several_groups(dir: &Path) -> PathBuf {
    let path = dir.join("pages.parquet");
    let mut first = group(["aaaabbbb", ""]);
    first.insert(1, None);
    let hundred = hundred();
    write(&path, "text", &[first, group(["éé", "xyz", "cccc"]), group(hundred.iter().map(String::as_str))]);
    path
}

#[test]
fn parquet_rows_of_all_groups_are_documents() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = Corpus::open(several_groups(dir.path())).unwrap();
    let windows = corpus.windows(&Bytes, first(999)).unwrap();
    assert_eq!(text(windows.ids()), format!("aaaabbbbéécccc{}", hundred().concat()));
    let expected: Vec<usize> = [0].into_iter().chain(0..103).collect();
    assert_eq!(windows.documents(), Some(&expected[..]));
    assert_eq!(text(corpus.windows(&Bytes, first(4)).unwrap().ids()), "aaaabbbbéécccc");
    assert!(corpus.beginning(30).unwrap().starts_with("aaaabbbb\n\néé\n\nxyz\n\ncccc"));
}

#[test]
fn parquet_pages_may_be_compressed_in_the_usual_ways() {
    let dir = tempfile::tempdir().unwrap();
    let texts = hundred();
    let by_name = [
        ("plain", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("gzip", Compression::GZIP(GzipLevel::default())),
        ("lz4", Compression::LZ4_RAW),
        ("zstd", Compression::ZSTD(ZstdLevel::default())),
    ];
    for (name, compression) in by_name {
        let path = dir.path().join(format!("{name}.parquet"));
        write_as(&path, "text", &[group(texts.iter().map(String::as_str))], compression);
        let windows = Corpus::open(&path).unwrap().windows(&Bytes, first(999)).unwrap();
        assert_eq!(text(windows.ids()), texts.concat(), "{name}");
    }
}

#[test]
fn parquet_rows_that_are_drawn_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = several_groups(dir.path());
    let whole = Corpus::open(&path).unwrap().windows(&Bytes, first(999)).unwrap();
    let all: Vec<&[u32]> = (0..whole.n_sequences()).map(|window| whole.sequence(window)).collect();
    let from_file = Corpus::open(&path).unwrap();
    let input = fs::File::open(&path).unwrap();
    let from_stream = Corpus::from_reader("standard input", DocumentFormat::Parquet, input).unwrap();
    let drawn = |corpus: &Corpus, seed| corpus.windows(&Bytes, first(20).draw(Draw::Random).seed(seed)).unwrap();
    for seed in 0..3 {
        let windows = drawn(&from_file, seed);
        assert_eq!(windows, drawn(&from_stream, seed));
        let places = (0..20).map(|window| all.iter().position(|ids| *ids == windows.sequence(window)).unwrap());
        assert!(places.collect::<Vec<_>>().is_sorted(), "in the order of the rows");
    }
    assert_ne!(drawn(&from_file, 0).ids(), drawn(&from_file, 1).ids());
}

#[test]
fn parquet_text_is_in_the_column_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pages.parquet");
    write(&path, "content", &[group(["aaaa"]), group(["bbbb"])]);
    let found = |field: &str| Corpus::open(&path).unwrap().with_field(field).windows(&Bytes, first(9));
    assert_eq!(text(found("content").unwrap().ids()), "aaaabbbb");
    let refused = |field: &str| {
        let error = found(field).unwrap_err();
        assert!(matches!(error, CorpusError::Parquet { .. }));
        error.to_string()
    };
    let missing = "pages.parquet: it has no column `text`, but `id`, `content`; name the one that holds the text";
    assert!(refused("text").ends_with(missing), "{}", refused("text"));
    assert!(refused("id").ends_with("its column `id` is not text; name the one that holds the text"));
}

#[test]
fn parquet_text_that_is_not_utf8_is_named_or_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.parquet");
    write(&path, "text", &[group(["aaaa"]), vec![None, Some(b"abc\xffdefghijk".to_vec())]]);
    let error = Corpus::open(&path).unwrap().windows(&Bytes, first(9)).unwrap_err().to_string();
    assert!(error.contains("broken.parquet: row 1 of row group 1 is not UTF-8 at byte 3 of its text"), "{error}");
    let lossy = Corpus::open(&path).unwrap().lossy().windows(&Bytes, first(9)).unwrap();
    assert_eq!(lossy.ids()[4..10], [97, 98, 99, 0xef, 0xbf, 0xbd]);
}

/// Wherever a file is cut, and where its pages are damaged.
#[test]
fn parquet_files_that_are_damaged_are_errors_with_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(several_groups(dir.path())).unwrap();
    let path = dir.path().join("damaged.parquet");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = Corpus::open(&path).unwrap().windows(&Bytes, first(999)).unwrap_err();
        assert!(
            matches!(error, CorpusError::Parquet { .. }) && error.to_string().contains("damaged.parquet: "),
            "{error}"
        );
    };
    for n_bytes in (0..whole.len()).step_by(7) {
        refused(&whole[..n_bytes]);
    }
    let mut pages = whole.clone();
    pages[4..whole.len() / 2].fill(0xff); // the schema and the places of pages stand at the end
    refused(&pages);
    refused(b"id,text\n1,aaaa\n");
}

//! Documents in a column of a Parquet file: [`Rows`].

use std::fs::File;

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::Type;

use crate::jsonl::{LineOptions, listed};
use crate::utf8::decoded;
use crate::{CorpusError, Result};

/// Rows that are decoded at once: documents may be long.
const ROWS_AT_ONCE: usize = 16;

/// Where a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowPlace {
    /// The group of rows.
    pub(crate) group: usize,
    /// The row in the group.
    pub(crate) row: usize,
}

/// The column of text of a Parquet file.
pub(crate) struct Rows {
    reader: SerializedFileReader<File>,
    name: String,
    /// Which of the file's columns.
    column: usize,
    /// Whether a row may have no text.
    is_optional: bool,
    is_lossy: bool,
}

impl Rows {
    pub(crate) fn new(file: File, name: &str, options: &LineOptions) -> Result<Self> {
        let bad = |reason: String| CorpusError::Parquet { name: name.to_owned(), reason };
        let reader = SerializedFileReader::new(file).map_err(|error| bad(error.to_string()))?;
        let (schema, field) = (reader.metadata().file_metadata().schema_descr(), &options.field);
        let fields = schema.root_schema().get_fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
        let Some(found) = fields.iter().find(|it| it.name() == field) else {
            return Err(bad(format!("it has no column `{field}`, but {}", listed(&names))));
        };
        let column = schema.columns().iter().position(|column| column.path().parts() == [field.as_str()]);
        let Some(column) = column.filter(|_| is_text(found)) else {
            return Err(bad(format!("its column `{field}` is not text; name the one that holds the text")));
        };
        let is_optional = schema.column(column).max_def_level() > 0;
        Ok(Self { reader, name: name.to_owned(), column, is_optional, is_lossy: options.is_lossy })
    }

    pub(crate) fn n_groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// Calls `visit` with the row and the text of each document of a group of rows, until it returns false; the text of a null is
    /// empty. Rows are decoded some at a time.
    pub(crate) fn each(&self, group: usize, mut visit: impl FnMut(usize, String) -> Result<bool>) -> Result<()> {
        let bad = |error: ParquetError| self.bad(error.to_string());
        let reader = self.reader.get_row_group(group).map_err(bad)?;
        let column = reader.get_column_reader(self.column).map_err(bad)?;
        let ColumnReader::ByteArrayColumnReader(mut column) = column else {
            return Err(self.bad("a group of its rows has another type of column than its schema says".to_owned()));
        };
        let mut place = RowPlace { group, row: 0 };
        loop {
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            let (n, ..) = column.read_records(ROWS_AT_ONCE, Some(&mut levels), None, &mut values).map_err(bad)?;
            if n == 0 {
                return Ok(());
            }
            let mut values = values.into_iter();
            for at in 0..n {
                let is_there = !self.is_optional || levels.get(at).is_some_and(|level| *level > 0);
                let bytes = if is_there { values.next() } else { None };
                let text = self.text(place, bytes.map_or_else(Vec::new, |bytes| bytes.data().to_vec()))?;
                if !visit(place.row, text)? {
                    return Ok(());
                }
                place.row += 1;
            }
        }
    }

    /// The text of a row, checked or with what is not UTF-8 replaced.
    fn text(&self, RowPlace { group, row }: RowPlace, bytes: Vec<u8>) -> Result<String> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(error) if self.is_lossy => Ok(decoded(error.into_bytes())),
            Err(error) => Err(self.bad(format!(
                "row {row} of row group {group} is not UTF-8 at byte {} of its text: convert it, or replace what is not UTF-8 \
                 (--lossy)",
                error.utf8_error().valid_up_to()
            ))),
        }
    }

    fn bad(&self, reason: String) -> CorpusError {
        CorpusError::Parquet { name: self.name.clone(), reason }
    }
}

fn is_text(field: &Type) -> bool {
    let info = field.get_basic_info();
    field.is_primitive()
        && info.repetition() != Repetition::REPEATED
        && field.get_physical_type() == PhysicalType::BYTE_ARRAY
        && (info.logical_type_ref() == Some(&LogicalType::String) || info.converted_type() == ConvertedType::UTF8)
}

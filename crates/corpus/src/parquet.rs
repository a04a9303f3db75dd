//! Documents in a column of a Parquet file: [`Rows`].

use std::fs::File;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::TreeBuilder;
use parquet::record::{Field, Row};
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::jsonl::listed;
use crate::utf8::decoded;
use crate::{CorpusError, Result};

/// Rows that are decoded at once: documents may be long.
const ROWS_AT_ONCE: usize = 16;

/// Where a document stands.
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
    /// The file's schema with the column of text alone.
    projection: Type,
}

impl Rows {
    pub(crate) fn new(file: File, name: &str, column: &str) -> Result<Self> {
        let bad = |reason: String| CorpusError::Parquet { name: name.to_owned(), reason };
        let reader = SerializedFileReader::new(file).map_err(|error| bad(error.to_string()))?;
        let schema = reader.metadata().file_metadata().schema();
        let names: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
        let Some(field) = schema.get_fields().iter().find(|field| field.name() == column) else {
            return Err(bad(format!("it has no column `{column}`, but {}", listed(&names))));
        };
        if !is_text(field) {
            return Err(bad(format!("its column `{column}` is not text; name the one that holds the text")));
        }
        let projection = Type::group_type_builder(schema.name()).with_fields(vec![field.clone()]).build();
        let projection = projection.map_err(|error| bad(error.to_string()))?;
        Ok(Self { reader, name: name.to_owned(), projection })
    }

    pub(crate) fn n_groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// Calls `visit` with the row and the text of each document of a group of rows, until it returns false; the text of a null is
    /// empty. Rows are decoded some at a time.
    pub(crate) fn each(&self, group: usize, mut visit: impl FnMut(usize, String) -> Result<bool>) -> Result<()> {
        let bad = |error: ParquetError| CorpusError::Parquet { name: self.name.clone(), reason: error.to_string() };
        let reader = self.reader.get_row_group(group).map_err(bad)?;
        let rows = TreeBuilder::new().with_batch_size(ROWS_AT_ONCE);
        let schema = SchemaDescriptor::new(Arc::new(self.projection.clone()));
        let rows = rows.as_iter(Arc::new(schema), &*reader).map_err(bad)?;
        for (row, document) in rows.enumerate() {
            if !visit(row, text(&document.map_err(bad)?))? {
                break;
            }
        }
        Ok(())
    }
}

fn text(row: &Row) -> String {
    match row.get_column_iter().next() {
        Some((_, Field::Str(text))) => text.clone(),
        Some((_, Field::Bytes(bytes))) => decoded(bytes.data().to_vec()),
        _ => String::new(),
    }
}

fn is_text(field: &Type) -> bool {
    let info = field.get_basic_info();
    field.is_primitive()
        && field.get_physical_type() == PhysicalType::BYTE_ARRAY
        && (info.logical_type_ref() == Some(&LogicalType::String) || info.converted_type() == ConvertedType::UTF8)
}

//! A table over CSV or Parquet files, wherever they are, as the query engine reads it: these files, in this order, and no others.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::files::TableFile;

/// A table over files.
#[derive(Debug)]
pub(super) struct FileTable {
    schema: TableSchema,
    format: Arc<dyn FileFormat>,
    store: ObjectStoreUrl,
    files: Vec<PartitionedFile>,
}

impl FileTable {
    /// All files with these columns of their own and these of their folders.
    pub(super) fn new(
        format: Arc<dyn FileFormat>,
        store: ObjectStoreUrl,
        own: SchemaRef,
        partitions: Vec<FieldRef>,
        files: &[TableFile],
    ) -> Self {
        let files = files.iter().map(|file| {
            let mut listed = PartitionedFile::new_from_meta(file.meta.clone());
            let values = file.values.iter().zip(&partitions);
            listed.partition_values = values
                .map(|(value, field)| scalar(value.as_deref(), field.data_type()))
                .collect();
            listed
        });
        Self {
            files: files.collect(),
            schema: TableSchema::builder(own)
                .with_table_partition_cols(partitions)
                .build(),
            format,
            store,
        }
    }
}

/// A folder's value as the column's type holds it; the type fits every value.
pub(super) fn scalar(value: Option<&str>, kind: &DataType) -> ScalarValue {
    match kind {
        DataType::Int64 => ScalarValue::Int64(value.and_then(|text| text.parse().ok())),
        DataType::Float64 => ScalarValue::Float64(value.and_then(|text| text.parse().ok())),
        _ => ScalarValue::Utf8(value.map(str::to_owned)),
    }
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        self.schema.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source = self.format.file_source(self.schema.clone());
        let scan = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(vec![FileGroup::new(self.files.clone())])
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        self.format.create_physical_plan(state, scan).await
    }
}

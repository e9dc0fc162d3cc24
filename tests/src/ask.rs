//! Queries that tests **ask** of their database, with the placeholders of [`Database::sql`](campanile::Database::sql).

use campanile::database::each_database;

use crate::database::TestDatabase;

impl TestDatabase {
    /// The texts of one column; null is `None`.
    ///
    /// # Panics
    ///
    /// When the database refuses it.
    pub async fn texts(&self, statement: &str) -> Vec<Option<String>> {
        let statement = self.database.sql(statement);
        each_database!(&self.database, |pool| {
            sqlx::query_scalar(statement)
                .fetch_all(pool)
                .await
                .expect("the statement is valid")
        })
    }

    /// The texts of one column that is never null.
    ///
    /// # Panics
    ///
    /// When the database refuses it, or there is a null.
    pub async fn lines(&self, statement: &str) -> Vec<String> {
        let texts = self.texts(statement).await.into_iter();
        texts.map(|entry| entry.expect("it is not null")).collect()
    }

    /// How many deliveries match this condition.
    pub async fn deliveries(&self, condition: &str) -> i64 {
        self.number(&format!(
            "select count(*) from {{campanile}}notification_deliveries where {condition}"
        ))
        .await
    }

    /// Changes every delivery: `run_at = {earlier(1)}` for example.
    pub async fn change_deliveries(&self, change: &str) {
        self.execute(&format!(
            "update {{campanile}}notification_deliveries set {change}"
        ))
        .await;
    }
}

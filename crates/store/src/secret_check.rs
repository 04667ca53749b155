//! The stored value by which a wrong secret is recognized at the start.

use crate::{Result, Store, sql};

impl Store {
    /// Returns the stored check value; stores `own` if there was none.
    ///
    /// # Errors
    /// The database's.
    pub async fn secret_check(&self, own: &[u8; 32]) -> Result<[u8; 32]> {
        let ask = || sql!("SELECT value FROM secret_checks WHERE id = 1");
        let known = self
            .read()
            .await?
            .fetch_optional(ask(), |row| row.key_hash("value"))
            .await?;
        if let Some(known) = known {
            return Ok(known.0);
        }
        let mut transaction = self.begin_untracked().await?;
        let keep =
            "INSERT INTO secret_checks (id, value) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
        transaction.execute(sql!(keep, *own)).await?;
        let known = transaction
            .fetch_one(ask(), |row| row.key_hash("value"))
            .await?;
        transaction.commit().await?;
        Ok(known.0)
    }

    /// Replaces the stored check value.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_secret_check(&self, value: &[u8; 32]) -> Result<()> {
        let mut transaction = self.begin_untracked().await?;
        let set = "UPDATE secret_checks SET value = $1 WHERE id = 1";
        transaction.execute(sql!(set, *value)).await?;
        transaction.commit().await
    }
}

-- The purchases that were redeemed, in the studio's own database. A row is the grant: what an account has is read here.
-- For PostgreSQL and SQLite.
CREATE TABLE IF NOT EXISTS redeemed (
    purchase_id    BIGINT    NOT NULL PRIMARY KEY,
    sub_product_id BIGINT    NOT NULL,
    account        TEXT      NOT NULL,
    redeemed_at    TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

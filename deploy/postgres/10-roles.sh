#!/usr/bin/env bash
# Run by the postgres image when the data directory is new: who owns the tables, who may use them.
set -euo pipefail

psql --set ON_ERROR_STOP=1 --username postgres --dbname postgres \
    --set owner_password="$RECOMPENSE_OWNER_PASSWORD" \
    --set app_password="$RECOMPENSE_APP_PASSWORD" \
    --set temporal_password="$TEMPORAL_PASSWORD" <<'SQL'
CREATE ROLE recompense_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE recompense_app LOGIN PASSWORD :'app_password';
CREATE DATABASE recompense OWNER recompense_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE recompense FROM PUBLIC;
GRANT CONNECT ON DATABASE recompense TO recompense_app;
-- The auto-setup image makes Temporal's two databases itself.
CREATE ROLE temporal LOGIN CREATEDB PASSWORD :'temporal_password';
\connect recompense
-- Reading is granted here; what the application may write, each migration grants by name.
ALTER DEFAULT PRIVILEGES FOR ROLE recompense_owner GRANT SELECT ON TABLES TO recompense_app;
SQL

-- Run once, by the image of PostgreSQL, when its directory is empty: the role that the nodes come in
-- with, which makes a role and a schema for each plugin, and the database that they share.
\set ON_ERROR_STOP on
\set password `cat /run/secrets/postgres_password`
CREATE ROLE trellis LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE trellis OWNER trellis;
REVOKE CONNECT, TEMPORARY ON DATABASE postgres FROM PUBLIC;

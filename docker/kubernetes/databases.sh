#!/bin/sh
# A database and a user of its own for each who needs one; PostgreSQL's image runs this once, on an empty volume.
set -eu
for name in mlflow login trials; do
    case $name in
        mlflow) password=${MLFLOW_DATABASE_PASSWORD:?} ;;
        login) password=${LOGIN_DATABASE_PASSWORD:?} ;;
        trials) password=${TRIALS_DATABASE_PASSWORD:?} ;;
    esac
    psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
        --set name="$name" --set password="$password" << 'END'
CREATE USER :"name" PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
END
done

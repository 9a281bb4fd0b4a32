#!/bin/sh
# Makes every password that docker/compose.yaml and docker/kubernetes need, once, readable by you alone.
set -eu
umask 077
cd "$(dirname "$0")"
for file in .env kubernetes/postgres.env kubernetes/mlflow.env kubernetes/credentials.env; do
    if [ -e "$file" ]; then
        echo "docker/$file exists already, and services may have been started with it; remove it to make another" >&2
        exit 1
    fi
done

secret() { # 192 bits, of letters and digits that need no quoting anywhere
    head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'
}

postgres=$(secret) mlflow_database=$(secret) login_database=$(secret) trials_database=$(secret)
mlflow=$(secret) mlflow_key=$(secret) ray=$(secret)$(secret)

cat > .env << END
POSTGRES_PASSWORD=$postgres
MLFLOW_DATABASE_PASSWORD=$mlflow_database
LOGIN_DATABASE_PASSWORD=$login_database
TRIALS_DATABASE_PASSWORD=$trials_database
MLFLOW_PASSWORD=$mlflow
MLFLOW_KEY=$mlflow_key
RAY_AUTH_TOKEN=$ray
S3_KEY_ID=$(secret)
S3_KEY=$(secret)
END

cat > kubernetes/postgres.env << END
POSTGRES_PASSWORD=$postgres
MLFLOW_DATABASE_PASSWORD=$mlflow_database
LOGIN_DATABASE_PASSWORD=$login_database
TRIALS_DATABASE_PASSWORD=$trials_database
END

cat > kubernetes/mlflow.env << END
MLFLOW_BACKEND_STORE_URI=postgresql://mlflow:$mlflow_database@postgres:5432/mlflow
LOGIN_STORE_URI=postgresql://login:$login_database@postgres:5432/login
MLFLOW_AUTH_ADMIN_PASSWORD=$mlflow
MLFLOW_FLASK_SERVER_SECRET_KEY=$mlflow_key
END

cat > kubernetes/credentials.env << END
VAESTUDY_CREDENTIAL_TRIALS=postgresql://trials:$trials_database@postgres:5432/trials
VAESTUDY_CREDENTIAL_MLFLOW=http://admin:$mlflow@mlflow:5000
END

echo "Wrote docker/.env and docker/kubernetes/*.env. MLflow's user is admin, its password in docker/.env."

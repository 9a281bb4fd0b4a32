#!/bin/sh
# MLflow's server with a login; its addresses and passwords come from the environment, never from the command line:
# MLFLOW_BACKEND_STORE_URI, LOGIN_STORE_URI, MLFLOW_AUTH_ADMIN_PASSWORD, MLFLOW_FLASK_SERVER_SECRET_KEY, ALLOWED_HOSTS,
# ARTIFACTS (a folder or s3://bucket).
set -eu
umask 077
settings=$(mktemp)
cat > "$settings" << END
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = ${LOGIN_STORE_URI:?}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
END
export MLFLOW_AUTH_CONFIG_PATH="$settings"
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false
: "${MLFLOW_BACKEND_STORE_URI:?}" "${MLFLOW_AUTH_ADMIN_PASSWORD:?}" "${MLFLOW_FLASK_SERVER_SECRET_KEY:?}"
exec mlflow server --app-name basic-auth --host 0.0.0.0 --port 5000 \
    --allowed-hosts "${ALLOWED_HOSTS:?}" --artifacts-destination "${ARTIFACTS:?}"

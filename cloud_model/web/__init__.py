"""The page of ``cloud serve``. Only `cloud_model.web.app` imports the web library."""

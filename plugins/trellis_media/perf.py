"""Load of media: people who look at their pictures, and now and then add or delete one."""

from __future__ import annotations

import random
from typing import Any

from locust import task

from trellis_media.factories import picture
from trellis_perf.user import TrellisUser


class PhotoUser(TrellisUser):
    """Scrolls through the album and opens pictures."""

    weight = 4

    def on_start(self) -> None:
        """Sign in, and have a picture to upload."""
        super().on_start()
        self.picture = picture(seed=random.randrange(2**31), width=320, height=240)

    @task(10)
    def scroll(self) -> None:
        for asset in random.sample(self._album(), 3):
            self.call("media_get_rendition", path={"asset_id": asset["id"], "name": "small"})

    @task(4)
    def open_picture(self) -> None:
        asset = random.choice(self._album())
        self.call("media_get_asset", path={"asset_id": asset["id"]})
        content = self.call("media_get_content", path={"asset_id": asset["id"]})
        self.call(
            "media_get_content",
            path={"asset_id": asset["id"]},
            headers={"If-None-Match": content.headers["ETag"]},
            variant="304",
            status=304,
        )

    @task(2)
    def add_and_delete(self) -> None:
        files = {"file": ("picture.jpg", self.picture, "image/jpeg")}
        asset = self.call("media_upload_asset", files=files).json()
        self.call("media_get_asset", path={"asset_id": asset["id"]})
        self.call(
            "media_update_asset",
            path={"asset_id": asset["id"]},
            json={"visibility": "public"},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        self.call("media_get_public", path={"asset_id": asset["id"], "name": "original"})
        self.call("media_delete_asset", path={"asset_id": asset["id"]})

    def _album(self) -> list[dict[str, Any]]:
        """The pictures of the newest page that can be shown; everybody was given some."""
        page = self.call("media_list_assets").json()
        return [asset for asset in page["items"] if asset["state"] == "ready"]

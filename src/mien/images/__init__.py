"""Images: filters, preprocessing and augmentation."""

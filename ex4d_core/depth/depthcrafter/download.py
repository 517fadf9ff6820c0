UNET_ID = "tencent/DepthCrafter"
